"""Where training runs run: the options of engines, and the verbs on what runs, status and cancel."""
