"""Playing a dream, or the game it was learned from, in a browser.

source    what can be played: networks, frames to start from, the real game
worlds    one step of the dream and of the real game, as functions of a moment
session   one game with its past: act, rewind, branch; knows nothing of clocks, browsers or threads
room      a session in time: who watches, who drives, when the next frame is due
server    the page and the WebSocket
web/      the page itself, static files
"""
