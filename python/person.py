"""Simulates a user with a phone: opens the link of a sign-in on another device, signs in and agrees.

Usage: person.py CA PASSWORD URL. Prints the last page's title. The server's pages work without a script, so no browser is
needed: each is a form whose hidden fields are sent back.
"""

from __future__ import annotations

import html
import http.cookiejar
import re
import ssl
import sys
import urllib.parse
import urllib.request

_FORM = re.compile(r'<form\b[^>]*action="([^"]*)"[^>]*>(.*?)</form>', re.S)
_FIELD = re.compile(r"<(?:input|button)\b[^>]*>")
_ATTRIBUTE = re.compile(r'([a-z]+)="([^"]*)"')


def approve(ca: str, password: str, url: str, deny: bool = False) -> str:
    """Goes through the pages of a device's sign-in as the administrator; the last one's title."""
    browser = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)),
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
    )
    answer = browser.open(url, timeout=60)
    for _ in range(10):
        page, at = answer.read().decode(), answer.url
        title = re.search(r"<title>(.*?)</title>", page, re.S)
        forms = [
            form for form in _FORM.findall(page) if "logout" not in form[0] and "sign-out" not in form[0]
        ]
        shown = html.unescape(title[1]).strip() if title else page
        if not forms or shown.startswith("Device connected"):
            return shown
        action, body = forms[0]
        fields: dict[str, str] = {}
        for field in _FIELD.findall(body):
            attributes = dict(_ATTRIBUTE.findall(field))
            name, value = attributes.get("name"), html.unescape(attributes.get("value", ""))
            if attributes.get("type") == "password":
                fields[name or "password"] = password
            elif attributes.get("autocomplete") == "username":
                fields[name or "username"] = "admin@localhost"
            elif name and field.startswith("<button"):
                # Agreeing is the first button, refusing the last.
                if deny or name not in fields:
                    fields[name] = value
            elif name:
                fields[name] = value
        data = urllib.parse.urlencode(fields).encode()
        request = urllib.request.Request(
            urllib.parse.urljoin(at, html.unescape(action) or at),
            data,
            headers={"Origin": urllib.parse.urljoin(at, "/").rstrip("/"), "Referer": at},
        )
        answer = browser.open(request, timeout=60)
    raise RuntimeError(f"the pages do not end; the last is {shown!r}")


if __name__ == "__main__":
    print(approve(*sys.argv[1:]))
