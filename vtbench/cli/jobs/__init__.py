"""Training runs that run: the options of engines and machines, what is shown meanwhile, and the verbs status and cancel."""
