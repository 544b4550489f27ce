#!/usr/bin/env python3
"""Turns a recorded terminal session into a picture.

Usage: terminal.py RECORDING TITLE > terminal.svg

The recording is what `script` wrote, escape sequences and all. The picture in the README is made so, at the root of the repository:

    script -qec 'stty cols 106; ./quickstart --unattended' /tmp/recording
    docs/images/terminal.py /tmp/recording './quickstart --unattended' > docs/images/terminal.svg

What a terminal would show at the end is drawn: lines that a spinner wrote and erased are gone, colours and bold stay.
"""

import html
import pathlib
import re
import sys

COLUMNS = 106
CHARACTER, LINE, MARGIN, BAR = 7.85, 19, 20, 38
COLOURS = {31: "#ff7b86", 32: "#7ee2a8", 33: "#f2cc60", 34: "#7cb7ff", 35: "#c4a7ff", 36: "#76e3ea", 90: "#8b8699"}
ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07]*\x07|([\r\n\b])|([^\x1b])", re.DOTALL)


def screen(recording: str) -> list[list[tuple[str, str]]]:
    """The lines that a terminal shows in the end, as characters with their styles."""
    lines: list[list[tuple[str, str]]] = [[]]
    row = column = 0
    style: dict[str, str] = {}
    for parameters, command, control, character in ESCAPE.findall(recording):
        if command == "m":
            for code in [int(part or 0) for part in parameters.split(";")]:
                if code == 0:
                    style = {}
                elif code in (1, 2):
                    style = {**style, **({"font-weight": "700"} if code == 1 else {"opacity": ".65"})}
                elif code in COLOURS:
                    style = {**style, "fill": COLOURS[code]}
                elif code == 39:
                    style = {name: value for name, value in style.items() if name != "fill"}
        elif command == "K":
            lines[row] = [] if parameters == "2" else lines[row][:column]
        elif command == "A":
            row = max(0, row - int(parameters or 1))
        elif command == "B":
            row = min(len(lines) - 1, row + int(parameters or 1))
        elif control == "\r":
            column = 0
        elif control == "\b":
            column = max(0, column - 1)
        elif control == "\n":
            row += 1
        elif character and character >= " ":
            if column == COLUMNS:
                row, column = row + 1, 0
            while len(lines) <= row:
                lines.append([])
            lines[row] += [(" ", "")] * (column - len(lines[row]))
            lines[row][column : column + 1] = [(character, ";".join(f"{name}:{value}" for name, value in style.items()))]
            column += 1
        while len(lines) <= row:
            lines.append([])
    return lines


def spans(line: list[tuple[str, str]]) -> str:
    """One line as `tspan`s, one for each run of a style."""
    runs: list[list[str]] = []
    for character, style in line:
        if runs and runs[-1][1] == style:
            runs[-1][0] += character
        else:
            runs.append([character, style])
    return "".join(f'<tspan style="{style}">{html.escape(text)}</tspan>' if style else html.escape(text) for text, style in runs)


def main() -> None:
    text = pathlib.Path(sys.argv[1]).read_bytes().decode()
    # The lines that `script` itself writes before and after.
    text = re.sub(r"\AScript started on [^\n]*\n|\n*Script done on [^\n]*\n?\Z", "", text)
    lines = screen(text)
    while lines and not any(character.strip() for character, _ in lines[-1]):
        lines.pop()
    while lines and not any(character.strip() for character, _ in lines[0]):
        lines.pop(0)
    title = html.escape(sys.argv[2])
    width, height = round(COLUMNS * CHARACTER + 2 * MARGIN), BAR + LINE * len(lines) + 2 * MARGIN - 8
    label = html.escape("\n".join("".join(character for character, _ in line).rstrip() for line in lines))
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">')
    print(f"<title>{title}</title>\n<desc>{label}</desc>")
    print("<style>text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#e6e3ef;white-space:pre}</style>")
    print(f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="12" fill="#1b1822" stroke="#3a3547"/>')
    for at, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        print(f'<circle cx="{MARGIN + 4 + 20 * at}" cy="21" r="6" fill="{colour}"/>')
    print(f'<text x="{width / 2}" y="26" text-anchor="middle" style="fill:#a09aaf">{title}</text>')
    for number, line in enumerate(lines):
        if line:
            columns = len(line)
            print(
                f'<text x="{MARGIN}" y="{BAR + MARGIN + LINE * number}" xml:space="preserve" '
                f'textLength="{columns * CHARACTER:.1f}" lengthAdjust="spacingAndGlyphs">{spans(line)}</text>'
            )
    print("</svg>")


if __name__ == "__main__":
    main()
