"""What can run a backbone over photos on this machine, measured, and the graph that is then served.

`choose.choose_engine` gives an `Engine`; `build.build_engine` makes one by name, also of a
fine-tuned network.
"""
