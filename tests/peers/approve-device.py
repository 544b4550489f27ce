"""Simulates a user with a phone at oidc-provider's development pages: opens the link, signs in, agrees.

Usage: python approve-device.py [--deny] CA URL. Prints the last page's text. The pages need no script, so no browser either:
each is a form whose hidden fields are sent back.
"""

import html
import re
import sys

import httpx

FIELD = re.compile(r"<input\b[^>]*>")
ATTRIBUTE = re.compile(r'([a-z]+)="([^"]*)"')


def main() -> None:
    *options, ca, url = sys.argv[1:]
    with httpx.Client(verify=ca, follow_redirects=True, trust_env=False) as browser:
        page = browser.get(url)
        for _ in range(10):
            form = re.search(r'<form\b[^>]*action="([^"]*)"', page.text)
            if form is None:
                break
            fields = {}
            for field in FIELD.findall(page.text):
                attributes = dict(ATTRIBUTE.findall(field))
                if "name" in attributes:
                    fields[attributes["name"]] = html.unescape(attributes.get("value", ""))
            if "login" in fields:
                fields |= {"login": "ada", "password": "any"}
            if "--deny" in options and "confirm" in fields:
                fields.pop("confirm")
                fields["abort"] = "yes"
            page = browser.post(str(page.url.join(html.unescape(form[1]))), data=fields)
            if "abort" in fields:
                break
        print(page.status_code, " ".join(re.sub(r"<(style|script)[^>]*>.*?</\1>|<[^>]*>", " ", page.text, flags=re.S).split()))


if __name__ == "__main__":
    main()
