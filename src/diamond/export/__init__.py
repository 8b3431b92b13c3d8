"""A dream without this package: as ONNX files, or as a page that any web server can hand out.

graphs    the three networks as ONNX graphs
check     what ONNX Runtime computes beside what PyTorch computes
folder    the folder that is written: networks, frames to start from, facts, page
runtime   ONNX Runtime Web, which the page runs on, as its project publishes it (vendored/)
web/      what takes the server's place in the page, static files
"""
