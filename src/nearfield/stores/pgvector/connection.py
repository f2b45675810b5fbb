"""Connections to the server: how they are opened, shared, and what their errors mean."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.errors import (
    CorruptStoreError,
    StoreError,
    StoreLockedError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nearfield.stores.pgvector.address import Address

KEPT_IDLE = 8
CONNECT_TIMEOUT_S = 10
OLDEST_PGVECTOR = (0, 8)
_UNREACHABLE = ("08", "57P")  # classes of SQLSTATE: lost connections, a server that stops
_BUSY = frozenset({"55P03", "40P01", "40001", "57014"})
_FULL = frozenset({"53000", "53100", "53200", "53300", "53400"})
_LOST_TABLES = frozenset({"42P01", "42703", "3F000"})
_REFUSED = ("authentication failed", "pg_hba.conf", "does not exist", "no password supplied")


class Connections:
    """The connections of one store: as many as threads use it at once, some kept for later.

    Args:
        address: Where the index is.
        read_only: Whether to refuse writing.
        timeout_s: How long a write waits for another writer.
    """

    def __init__(self, address: Address, *, read_only: bool, timeout_s: float) -> None:
        self.address = address
        self.read_only = read_only
        self._psycopg = require("psycopg", extra="pgvector", purpose="The pgvector store")
        milliseconds = max(int(timeout_s * 1000), 1)
        self._places = ""
        self._settings = f"; SET LOCAL lock_timeout = {milliseconds}"
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._owner = os.getpid()
        self._abandoned: list[Any] = []
        self._closed = False
        self._type: tuple[int, int] | None = None

    @contextmanager
    def looking(self) -> Iterator[Any]:
        """Lend a connection for which the database need not have pgvector."""
        with self.translated():
            connection = self._connected()
            try:
                yield connection
            finally:
                connection.close()

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """Lend a connection that sees one version of the index until it is given back."""
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """Lend a connection in a transaction that writes: all is kept, or nothing."""
        if self.read_only:
            message = f"{self.address.shown} was opened for reading only."
            raise StoreError(message)
        # What was acknowledged is on the disk, whatever the server's default.
        begin = (
            "BEGIN; SELECT set_config('synchronous_commit', 'on', true) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
        with self._transaction(begin + self._settings) as connection:
            yield connection

    def close(self) -> None:
        """Close all connections that are not in use."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def quoted(self, name: str) -> str:
        """Give a name as SQL has it."""
        quoted: str = self._psycopg.sql.Identifier(name).as_string(None)
        return quoted

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Any]:
        with self.translated():
            connection = self._begun(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(self._psycopg.Error):
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._give_back(connection)

    def _begun(self, begin: str) -> Any:
        """Give a connection in a new transaction; one that was lost while idle is replaced."""
        while True:
            connection, fresh = self._take()  # the first one learns the search path
            try:
                connection.execute(f"{begin}; SET LOCAL search_path TO {self._places}")
            except self._psycopg.OperationalError:
                connection.close()
                if fresh:
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    def _take(self) -> tuple[Any, bool]:
        with self._lock:
            if self._closed:
                message = f"The store at {self.address.shown} is closed. Open it again."
                raise StoreError(message)
            if self._owner != os.getpid():  # a fork: the connections are the parent's
                self._abandoned += self._idle
                self._idle, self._owner = [], os.getpid()
            if self._idle:
                return self._idle.pop(), False
        connection = self._connected()
        try:
            self._learn_type(connection)
        except BaseException:
            connection.close()
            raise
        return connection, True

    def _connected(self) -> Any:
        psycopg = self._psycopg
        given = psycopg.conninfo.conninfo_to_dict(self.address.conninfo)
        own = {"connect_timeout": CONNECT_TIMEOUT_S, "fallback_application_name": "nearfield"}
        return psycopg.connect(
            **{**own, **given, "client_encoding": "UTF8"},
            autocommit=True,  # transactions are begun by name, with their settings
            prepare_threshold=None,  # a pooler may lend another server session each time
        )

    def _learn_type(self, connection: Any) -> None:
        """Tell a connection how vectors are sent; at the first, find out where pgvector is."""
        if self._type is None:
            self._type = self._find_extension(connection)
        of = require("pgvector.psycopg.vector", extra="pgvector", purpose="The pgvector store")
        oid, array_oid = self._type
        of.register_vector_info(connection, self._psycopg.types.TypeInfo("vector", oid, array_oid))

    def _find_extension(self, connection: Any) -> tuple[int, int]:
        found = self._extension(connection)
        if found is None:
            self._create_extension(connection)
            found = self._extension(connection)
        if found is None:
            raise self._no_extension("it is not there")
        schema, version = found
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_PGVECTOR:
            message = (
                f"{self.address.shown} has pgvector {version}; 0.8 or newer is needed. Run in it: "
                "ALTER EXTENSION vector UPDATE"
            )
            raise StoreError(message)
        (encoding,) = connection.execute("SHOW server_encoding").fetchone()
        if encoding != "UTF8":
            message = (
                f"{self.address.shown} keeps text as {encoding}. Use a database made with "
                "ENCODING 'UTF8'."
            )
            raise StoreError(message)
        self._places = f"{self.quoted(self.address.index)}, {self.quoted(schema)}"
        oids: tuple[int, int] = connection.execute(
            "SELECT t.oid::bigint, t.typarray::bigint "
            "FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
            "WHERE n.nspname = %s AND t.typname = 'vector'",
            (schema,),
        ).fetchone()
        return oids

    def _extension(self, connection: Any) -> Any:
        return connection.execute(
            "SELECT n.nspname, e.extversion FROM pg_extension e "
            "JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
        ).fetchone()

    def _create_extension(self, connection: Any) -> None:
        if self.read_only:
            raise self._no_extension("this store was opened for reading only")
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except self._psycopg.errors.UniqueViolation:
            pass  # another process made it at the same moment
        except self._psycopg.errors.InsufficientPrivilege:
            raise self._no_extension("this user may not create it") from None
        except self._psycopg.Error as error:
            if error.sqlstate not in {"58P01", "0A000"}:  # no such file, not available
                raise
            raise self._no_extension("the server does not bring it") from None

    def _no_extension(self, why: str) -> StoreError:
        return StoreError(
            f"The database at {self.address.shown} lacks the extension pgvector, and {why}. "
            "Let its administrator install pgvector and run: CREATE EXTENSION vector"
        )

    def _give_back(self, connection: Any) -> None:
        idle = self._psycopg.pq.TransactionStatus.IDLE
        with self._lock:
            healthy = not connection.closed and connection.info.transaction_status == idle
            if healthy and not self._closed and len(self._idle) < KEPT_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the client's errors into ours, without the password."""
        try:
            yield
        except self._psycopg.Error as error:
            raise self._as_ours(error) from error

    def _as_ours(self, error: Any) -> StoreError:
        shown, state = self.address.shown, error.sqlstate or ""
        words = self.address.hide(" ".join(str(error).split()))
        if state in _BUSY:
            return StoreLockedError(
                f"{shown} is being written by another process ({words}). Try again later."
            )
        refused = any(phrase in words for phrase in _REFUSED)
        lost = isinstance(error, self._psycopg.OperationalError) and not state
        if state.startswith(_UNREACHABLE) or (lost and not refused):
            return StoreUnavailableError(
                f"The database at {shown} cannot be reached, or left during the call ({words}). "
                "Try again; a write that was under way is repeated safely by an upsert."
            )
        if state in _FULL:
            return StoreUnavailableError(f"The server of {shown} is out of room: {words}")
        if state in _LOST_TABLES:
            return CorruptStoreError(f"{shown} is no whole index ({words}). Build it anew.")
        return StoreError(f"{shown}: {words}")
