"""How reports look: colours for light and dark, and plain CSS.

Series colours keep a contrast of at least 3 against the page, text at least 4.5 (WCAG 2.2, 1.4.3 and 1.4.11); a test
computes it.
"""

LIGHT = {
    "paper": "#fbfaf6",
    "panel": "#f2f0e9",
    "ink": "#1c1f23",
    "soft": "#5c626a",
    "rule": "#dad7cd",
    "c1": "#0b5fa5",
    "c2": "#c2410c",
    "c3": "#0f766e",
    "c4": "#8e3b8a",
    "c5": "#866300",
    "c6": "#b4235a",
    "grey": "#80868e",
}
DARK = {
    "paper": "#131519",
    "panel": "#1c1f25",
    "ink": "#e9e7e1",
    "soft": "#a4aab2",
    "rule": "#31353c",
    "c1": "#6cb6ff",
    "c2": "#ff9e64",
    "c3": "#4fd1b5",
    "c4": "#d99be0",
    "c5": "#e0c15a",
    "c6": "#ff8fae",
    "grey": "#858c95",
}
SERIES = ("c1", "c2", "c3", "c4", "c5", "c6")


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


STYLE = (
    f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
    f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n"
    """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
  font:17px/1.55 "Iowan Old Style","Palatino Linotype",Palatino,"URW Palladio L","Book Antiqua",Georgia,serif}
main{max-width:66rem;margin:0 auto;padding:3.5rem 1.5rem 5rem}
h1,h2,h3{line-height:1.15;font-weight:600;letter-spacing:-.01em;text-wrap:balance}
h1{font-size:clamp(2.3rem,7vw,3.6rem);margin:.1em 0 .25em;overflow-wrap:anywhere}
h2{font-size:1.5rem;margin:0 0 .8rem}
h3{font-size:1.1rem;margin:2rem 0 .6rem}
p{max-width:42rem;margin:0 0 1rem;text-wrap:pretty}
section{margin-top:3.5rem;padding-top:1.4rem;border-top:1px solid var(--rule)}
.eyebrow,.facts,.legend,.tiles,table,figcaption,summary,.missing,svg,footer{
  font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
.eyebrow{margin:0;color:var(--c1);font-size:.8rem;font-weight:600;letter-spacing:.09em;text-transform:uppercase}
.facts{color:var(--soft);font-size:.95rem}
.lead{font-size:1.2rem;line-height:1.5}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.6rem,1fr));gap:1px;margin:2rem 0;padding:0;
  border:1px solid var(--rule);border-radius:.6rem;overflow:hidden}
.tiles div{box-shadow:0 0 0 1px var(--rule);padding:1rem 1.1rem}
.tiles dt{color:var(--soft);font-size:.82rem}
.tiles dd{margin:.15rem 0 0;font-size:1.5rem;line-height:1.2;font-weight:600;white-space:nowrap;
  font-variant-numeric:tabular-nums}
.tiles dd.note{font-size:.82rem;font-weight:400;color:var(--soft);white-space:normal}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1.8rem 2rem;align-items:start}
.pair{display:grid;grid-template-columns:minmax(0,28rem) minmax(0,1fr);gap:1.5rem 3rem;align-items:start}
.media{display:flex;flex-direction:column;gap:1.2rem}
figure{margin:0;min-width:0}
figcaption{font-size:.92rem;font-weight:600;margin-bottom:.35rem;overflow-wrap:anywhere}
figcaption span{display:block;font-weight:400;color:var(--soft);font-size:.85rem}
svg.chart{display:block;width:100%;height:auto;overflow:visible}
.grid figure+p{margin-top:.8rem}
svg.chart *{stroke-linejoin:round;stroke-linecap:butt}
svg.chart text{font-family:inherit!important;font-variant-numeric:tabular-nums}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.3rem;font-size:.88rem;color:var(--soft);max-width:none}
.legend i,td i,th i{display:inline-block;width:.75em;height:.75em;border-radius:.2em;margin-right:.45em;
  vertical-align:-.04em}
video,img{display:block;max-width:100%;border-radius:.5rem}
video{width:min(100%,40rem);background:#18191e}
.scroll{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.42rem .9rem .42rem 0;border-bottom:1px solid var(--rule);vertical-align:baseline;
  min-width:4rem}
th{font-weight:500}
tbody th{min-width:8.5rem;overflow-wrap:break-word}
table.narrow{width:auto;min-width:min(100%,34rem)}
thead th{color:var(--soft);font-weight:400;font-size:.8rem;border-bottom-color:var(--soft);white-space:nowrap}
th:last-child,td:last-child{padding-right:0}
.number{text-align:right;white-space:nowrap}
.number small{display:block;color:var(--soft);font-size:.78rem}
.missing{color:var(--soft);font-size:.92rem;border-left:3px solid var(--rule);padding:.1rem 0 .1rem .9rem}
code{font:.88em ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
details{margin:1rem 0}
summary{cursor:pointer;font-size:.95rem;font-weight:600;padding:.35rem 0}
summary:hover{color:var(--c1)}
:focus-visible{outline:2px solid var(--c1);outline-offset:3px;border-radius:.2rem}
footer{margin-top:4rem;padding-top:1rem;border-top:1px solid var(--rule);color:var(--soft);font-size:.82rem}
@media (max-width:52rem){.pair{grid-template-columns:minmax(0,1fr)}}
@media (max-width:34rem){body{font-size:16px}main{padding:2rem 1.1rem 3rem}.lead{font-size:1.08rem}
  .tiles dd{font-size:1.3rem}.tiles dd.note{font-size:.8rem}section{margin-top:2.6rem}}
@media print{body{background:#fff}section{break-inside:avoid}main{padding:0;max-width:none}}
"""
)
