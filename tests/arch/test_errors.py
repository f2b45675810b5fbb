"""The tree drawn in ``errors.py`` is the tree there is."""

import builtins
import inspect
import pickle
import re

import nearfield.errors
from nearfield.errors import NearfieldError

LINE = re.compile(r"^    (?P<indent>[│├└─ ]*)(?P<name>\w+)(?: \((?P<builtin>\w+)\))?(?P<notes>.*)$")


def drawn():
    """Read the docstring: name to (parent, builtin base, notes)."""
    tree, above = {}, []
    for line in nearfield.errors.__doc__.split("::", 1)[1].splitlines():
        match = LINE.match(line)
        if match is None or not match["name"].endswith("Error"):
            continue
        depth = len(match["indent"]) // 4
        above[depth:] = [match["name"]]
        parent = above[depth - 1] if depth else None
        tree[match["name"]] = (parent, match["builtin"], match["notes"].split())
    return tree


def real():
    """Look at the classes: name to (parent, builtin base, class)."""
    classes = [
        one
        for _, one in inspect.getmembers(nearfield.errors, inspect.isclass)
        if issubclass(one, NearfieldError)
    ]
    tree = {}
    for one in classes:
        ours = [base.__name__ for base in one.__bases__ if issubclass(base, NearfieldError)]
        plain = [base.__name__ for base in one.__bases__ if base.__module__ == "builtins"]
        root = one is NearfieldError
        tree[one.__name__] = (
            ours[0] if ours else None,
            plain[0] if plain and not root else None,
            one,
        )
    return tree


def test_the_drawn_tree_is_the_real_one():
    assert {name: row[:2] for name, row in drawn().items()} == {
        name: row[:2] for name, row in real().items()
    }


def test_the_drawing_marks_exactly_the_retryable_errors():
    marked = {name for name, (_, _, notes) in drawn().items() if "retryable" in notes}

    assert marked == {name for name, (_, _, cls) in real().items() if cls.retryable}


def test_every_drawn_builtin_exists():
    for _, builtin, _ in drawn().values():
        assert builtin is None or issubclass(getattr(builtins, builtin), Exception)


def test_errors_cross_to_another_process_whole():
    """With message, arguments and attributes, however they are made."""
    for error in (
        nearfield.errors.ConfigError("what, why"),
        nearfield.errors.ReadError("what, why", path="a.txt"),
        nearfield.errors.MissingDependencyError("what", extra="ray", install="pip"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
