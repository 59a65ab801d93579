"""Documents that are small to write and dear to look at."""


def _tree(depth: int) -> str:
    """A tree of the same field twice on every level: each pair of its branches has to be compared."""
    return "{ id }" if depth == 0 else f"{{ parent {_tree(depth - 1)} parent {_tree(depth - 1)} }}"


def _chain(length: int) -> str:
    """Fragments that spread the next one twice: 2^length fields."""
    links = "".join(f"fragment f{at} on Query {{ ...f{at + 1} ...f{at + 1} }} " for at in range(length))
    return f"{{ ...f0 }} {links} fragment f{length} on Query {{ __typename }}"


PAGE = "(first: 100) { nodes { "

BOMBS = {
    "10,000 levels": "{ a " * 10_000 + "}" * 10_000,
    "190 levels": "{ a " * 190 + "}" * 190,
    "2^60 fields by fragments": _chain(60),
    "10,000 aliases": "{ " + " ".join(f"a{at}: __typename" for at in range(10_000)) + " }",
    "260 aliases": "{ " + " ".join(f"a{at}: __typename" for at in range(260)) + " }",
    "10,000 directives": "{ __typename " + "@include(if: true) " * 10_000 + "}",
    "120 directives": "{ __typename " + "@include(if: true) " * 120 + "}",
    "a list of 100,000": "{ nodes(ids: [" + '"x" ' * 100_000 + "]) { id } }",
    "a string of a million": '{ customer(id: "' + "x" * 1_000_000 + '") { id } }',
    "2,000 tokens": "{ " + "a " * 2_000 + "}",
    "490 fields of one name": "{ customer(id: 1) { " + "id " * 490 + "} }",
    "700 fields": "{ customer(id: 1) { " + "id " * 700 + "} }",
    "700 fields in inline fragments": "{ customer(id: 1) { " + ("... { " + "id " * 20 + "} ") * 30 + "} }",
    "a tree of the same fields": "{ customer(id: 1) " + _tree(6) + " }",
    "300 spreads of one fragment": "{ customer(id: 1) { " + "...f " * 300 + "} } fragment f on Customer { id name }",
    "a fragment that spreads itself": "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
    "70 fragments in a circle": "{ ...f0 } "
    + " ".join(f"fragment f{at} on Query {{ ...f{(at + 1) % 70} }}" for at in range(70)),
    "60 operations": " ".join(f"query q{at} {{ __typename }}" for at in range(60)),
    "a million records": "{ customers" + PAGE + "opportunities" + PAGE + "history" + PAGE + "type } } } } } } }",
    "40 mutations": "mutation { " + " ".join(f"a{at}: customerArchive {{ position }}" for at in range(40)) + " }",
}
"""What is to be refused, at little cost, before it does any harm."""
