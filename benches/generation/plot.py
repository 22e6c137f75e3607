#!/usr/bin/env python3
"""The sweep of docs/generation.md as a picture: rows of judge_generation's table on standard input, SVG on
standard output. To the left are pictures nearer to the test set, above those that are more surely what was asked.

    judge_generation DATA OUT 50 | benches/generation/plot.py > docs/generation_sweep.svg
"""

import re
import sys

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 400, 60, 20, 20, 50

rows = []
for line in sys.stdin:
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    if len(cells) == 5 and re.fullmatch(r"[0-9.]+", cells[1]):
        rows.append((cells[0], float(cells[1]), float(cells[2])))
if not rows:
    sys.exit("no rows of a table")
xs, ys = [row[2] for row in rows], [row[1] for row in rows]
x0, x1 = 0.0, max(xs) * 1.05
y0, y1 = min(ys) - 2, min(100.0, max(ys) + 2)


def place(x, y):
    return (LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT),
            TOP + (y1 - y) / (y1 - y0) * (HEIGHT - TOP - BOTTOM))


out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">',
       f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
       f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 12}" text-anchor="middle">FID of the classifier\'s features</text>',
       f'<text x="16" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 {HEIGHT / 2})">accuracy, %</text>']
for step in range(5):
    x, y = x0 + (x1 - x0) * step / 4, y0 + (y1 - y0) * step / 4
    (px, _), (_, py) = place(x, y0), place(x0, y)
    out.append(f'<line x1="{px:.1f}" y1="{TOP}" x2="{px:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>'
               f'<text x="{px:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:.0f}</text>'
               f'<line x1="{LEFT}" y1="{py:.1f}" x2="{WIDTH - RIGHT}" y2="{py:.1f}" stroke="#ddd"/>'
               f'<text x="{LEFT - 6}" y="{py + 4:.1f}" text-anchor="end">{y:.0f}</text>')
for name, accuracy, distance in rows:
    x, y = place(distance, accuracy)
    colour = "#c33" if "reconstruction" in name else "#36c" if name.startswith("12") else "#393"
    anchor, shift = ("end", -7) if x > WIDTH * 0.6 else ("start", 7)
    label = name.replace(" steps, temperature ", ", T ").replace(", guidance ", ", A ")
    out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
               f'<text x="{x + shift:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">{label}</text>')
print("\n".join(out + ["</svg>"]))
