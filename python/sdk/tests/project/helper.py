"""What goes along because it is imported."""


def shout(word: str) -> str:
    return word.upper()
