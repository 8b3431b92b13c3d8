"""Visual consistency (paper section 5.3): do objects keep their class and place from frame to frame?

`detectors` and `wall` tell objects by their colours, `memory` reads the same from the console, `proof` compares the
two, `events` counts what changes between frames, `planted` how many deliberate faults are found, `clips` reads
anyone's frames.
"""
