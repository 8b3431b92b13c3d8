"""Playing a dream, or the game it was learned from, in a browser.

game/source     what can be played: networks, frames to start from, the real game
game/worlds     one step of the dream and of the real game, as functions of a moment
game/moments    what a session goes back to, and what there is to see of it
game/session    one game with its past: act, rewind, branch; knows nothing of clocks, browsers or threads
server/room     a session in time: who watches, who drives, when the next frame is due
server/server   the page and the WebSocket
web/            the page itself, static files
"""
