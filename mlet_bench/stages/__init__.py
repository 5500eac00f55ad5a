"""The stages: a file each, a command of the same name, called by the DAG and by hand.

Each module has ``add_options(parser)``, ``run(arguments)`` and functions of folders that know nothing of either.
"""
