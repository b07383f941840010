"""Sphinx: MyST pages, the furo theme, and nothing from the network."""

import p2pkit

project = "p2pkit"
author = "the p2pkit authors"
copyright = author
version = release = p2pkit.__version__

extensions = ["myst_parser", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "generated"]  # the latter's files are included by pages
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = "$ "

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["p2pkit.css"]
html_title = f"p2pkit {version}"
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "native"
