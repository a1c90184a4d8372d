"""What the theme cannot say: figures of equal width, quieter chrome, and the logo."""

from __future__ import annotations

import streamlit as st

STYLE = """<style>
[data-testid="stMainBlockContainer"] { max-width: 1240px; margin: 0 auto; padding-bottom: 4rem; }
[data-testid="stMetricValue"], [data-testid="stMetric"] [data-testid="stMarkdownContainer"],
[data-testid="stMetric"] [data-testid="stMarkdownContainer"] p {
  white-space: normal; overflow: visible; overflow-wrap: anywhere;
}
[data-testid="stMultiSelect"] [data-tag] { background: none; border: 1px solid currentColor; }
[data-testid="stMultiSelect"] [data-tag], [data-testid="stMultiSelect"] [data-tag] * { color: inherit; }
[data-testid="stMetricValue"] p { line-height: 1.2; }
[data-testid="stMetricDelta"] { padding: 0; background: none; }
[data-testid="stMainBlockContainer"] h1 { letter-spacing: -0.015em; padding-bottom: 0; }
[data-testid="stMainBlockContainer"] h2 { margin-top: 1.25rem; }
[data-testid="stCode"] .token { color: inherit; }
[data-testid="stCode"] .token.string { color: color-mix(in srgb, currentColor 55%, #00a05a); }
[data-testid="stCode"] .token:is(.property, .atrule, .keyword, .function, .variable, .parameter) {
  color: color-mix(in srgb, currentColor 55%, #0a7fd0);
}
[data-testid="stCode"] .token:is(.number, .boolean, .builtin, .class-name) {
  color: color-mix(in srgb, currentColor 55%, #c2520a);
}
[data-testid="stCode"] .token.inserted { color: color-mix(in srgb, currentColor 55%, #00a05a); }
[data-testid="stCode"] .token.deleted { color: color-mix(in srgb, currentColor 55%, #c2520a); }
.st-key-to_compare [data-testid="stPageLink"] a { border: 1px solid currentColor; border-radius: 0.5rem; }
.st-key-answer h2 { margin-top: 0; padding-top: 0; }
.st-key-gallery img { aspect-ratio: 1; object-fit: cover; border-radius: 0.5rem; }
.st-key-gallery [data-testid="stButton"] { margin-top: -0.75rem; }
.st-key-gallery [data-testid="stElementToolbar"] { display: none; }
.st-key-gallery button { position: relative; padding: 0.25rem; height: 100%; align-items: start; }
.st-key-gallery button::after { /* the picture above belongs to the button */
  content: ""; position: absolute; left: 0; right: 0; bottom: 100%; aspect-ratio: 1;
}
.st-key-gallery button p { font-size: 0.875rem; line-height: 1.25; white-space: normal; }
.st-key-samples img { aspect-ratio: 1; object-fit: cover; border-radius: 0.375rem; }
.st-key-samples [data-testid="stElementToolbar"] { display: none; }
.st-key-samples [data-testid="stElementContainer"]:has(img) { flex: 1 1 0; min-width: 0; max-width: 8rem; }
.st-key-phone_pages { display: none; }
@media (max-width: 767.98px) { /* where Streamlit folds the pages into a drawer that stays open */
  .st-key-phone_pages { display: flex; }
  [data-testid="stExpandSidebarButton"], [data-testid="stSidebar"] { display: none; }
}
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding-left: 1rem; padding-right: 1rem; }
  [data-testid="stMetricValue"] { font-size: 1.375rem; }
}
</style>"""

_ON_PALE = """<style>
[data-testid^="stBaseButton-primary"]:not(:disabled) p { color: #15191d; }
</style>"""
"""The accent of the dark theme is pale: white words on it could not be read."""


def style(theme: str) -> str:
    """The styles for the theme `light` or `dark`."""
    return STYLE + (_ON_PALE if theme == "dark" else "")


_INK = {"light": ("#14181c", "#1f5f8b"), "dark": ("#eceae4", "#6fb6e6")}
# A family tree as breeders draw it: square and circle for the parents, a filled mark for the young.
_LOGO = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 32" width="{width}" height="32">
<g fill="none" stroke="{ink}" stroke-width="2"><rect x="3" y="3" width="9" height="9"/>
<circle cx="24.500" cy="7.500" r="4.500"/><path d="M12 7.500h8M16 7.500v12"/></g>
<path d="M16 19l5.500 5.500-5.500 5.500-5.500-5.500z" fill="{accent}"/>{word}</svg>"""
_WORD = (
    '<text x="38" y="23" font-size="20" font-weight="600" fill="{ink}" '
    # A picture has no fonts of the page: whichever serif stands in is as long as there is room.
    'textLength="84" lengthAdjust="spacingAndGlyphs" '
    "font-family=\"'Source Serif 4', Georgia, 'Liberation Serif', serif\">Pedigree</text>"
)


def logo(theme: str, *, word: bool = True) -> str:
    """The logo as SVG, for the theme `light` or `dark`; without the word it is a square."""
    ink, accent = _INK.get(theme, _INK["light"])
    text = _WORD.format(ink=ink) if word else ""
    return _LOGO.format(width=126 if word else 32, ink=ink, accent=accent, word=text)


def theme() -> str:
    """`light` or `dark`, as the browser shows the page."""
    return str(st.context.theme.type or "light")
