"""How good an agent and its dream are, in numbers: scores with intervals, baselines, calibration, fidelity."""
