"""Trained generators answer over HTTP, and on a page to draw on."""

from p2pkit.serving.app import make_app
from p2pkit.serving.models import Served, load_models
from p2pkit.serving.server import Listener, serve
from p2pkit.serving.settings import Settings
from p2pkit.serving.static import StaticPage, write_page

__all__ = ["Listener", "Served", "Settings", "StaticPage", "load_models", "make_app", "serve", "write_page"]
