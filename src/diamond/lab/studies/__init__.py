"""The paper's analyses of its world model: each a module with `run`, chosen by `run.run_study`."""
