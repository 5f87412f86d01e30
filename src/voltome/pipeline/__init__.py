"""Jobs from files to files: the rooms joined.

Modules are imported by name (`voltome.pipeline.correlate`), each when it is needed.
"""
