"""Training runs that run: options of engines and machines, what is shown meanwhile, the verbs status and cancel."""
