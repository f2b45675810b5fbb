"""The server: an OpenAI-compatible API over the library's models, and a page to look through.

It needs the extra ``server``. ``nearfield serve`` runs it; in a program::

    from nearfield.server.app import create_app
    from nearfield.server.config import ServerConfig

    app = create_app(ServerConfig(models={"minilm": "bundled"}))    # any ASGI server runs it
"""
