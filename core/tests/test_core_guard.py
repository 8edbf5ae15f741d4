"""Where a callback may go."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from menos_bus.callbacks.guard import Forbidden, Guard, Target

PRIVATE_V4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
PUBLIC = ("8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.0", "100.128.0.1")
PUBLIC_V6 = ("2606:4700::1111", "2a00:1450:4001::200e", "2001:4860:4860::8888")
NONE = Guard([])


def resolving(*addresses):
    """A look-up that gives these addresses."""

    def resolve(host, port, **_):
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port),
            )
            for address in addresses
        ]

    return resolve


def url_of(address):
    return f"http://[{address}]/" if ":" in address else f"http://{address}/"


@st.composite
def private_v4(draw):
    network = ip_network(draw(st.sampled_from(PRIVATE_V4)))
    return IPv4Address(
        draw(st.integers(int(network.network_address), int(network.broadcast_address)))
    )


@st.composite
def spelled(draw):
    """A private IPv4 address in one of the spellings that resolvers understand."""
    number = int(draw(private_v4()))
    parts = draw(st.integers(1, 4))
    heads = [number >> 24 & 255, number >> 16 & 255, number >> 8 & 255][: parts - 1]
    last = number & (1 << 8 * (5 - parts)) - 1
    forms = [
        lambda n: str(n),
        lambda n: hex(n),
        lambda n: hex(n).upper().replace("X", "x"),
        lambda n: f"0x{n:012x}",
        lambda n: f"0{n:o}",
        lambda n: f"000{n:o}",
    ]
    text = ".".join(draw(st.sampled_from(forms))(part) for part in (*heads, last))
    return text + draw(st.sampled_from(["", "."]))


@given(spelled(), st.sampled_from(["http", "https", "HTTP"]), st.sampled_from(["", ":80", ":8443"]))
def test_a_private_address_is_refused_in_every_spelling(host, scheme, port):
    with pytest.raises(Forbidden):
        NONE.check(f"{scheme}://{host}{port}/hook?x=1")


@given(private_v4(), st.sampled_from(["::ffff:{}", "0:0:0:0:0:ffff:{}", "64:ff9b::{}", "::{}"]))
def test_a_private_address_within_an_ipv6_address_is_refused(address, form):
    with pytest.raises(Forbidden):
        NONE.check(url_of(form.format(address)))


@given(private_v4(), st.integers(0, 2**80 - 1))
def test_a_private_address_within_a_6to4_address_is_refused(address, rest):
    wrapped = IPv6Address(0x2002 << 112 | int(address) << 80 | rest)

    for form in (wrapped.compressed, wrapped.exploded):
        with pytest.raises(Forbidden):
            NONE.check(url_of(form))


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_of_ipv6_only_what_is_handed_out_can_pass(address):
    assume(address.ipv4_mapped is None and address not in ip_network("64:ff9b::/96"))
    assume(address not in ip_network("2000::/3"))

    with pytest.raises(Forbidden):
        NONE.check(url_of(str(address)))


@pytest.mark.parametrize(
    "address",
    [
        "224.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "::127.0.0.1",
        "fec0::1",
        "::",
        "::1",
        "0::1",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "64:ff9b:1::1",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "255.255.255.255",
    ],
)
def test_addresses_that_others_take_for_public_are_refused(address):
    with pytest.raises(Forbidden, match="allow-list"):
        NONE.check(url_of(address))
    with pytest.raises(Forbidden, match="allow-list"):
        Guard([], resolving(address)).addresses("example.com", 80)


@pytest.mark.parametrize("zone", ["%eth0", "%25eth0", "%1"])
def test_an_address_with_a_zone_is_refused(zone):
    with pytest.raises(Forbidden, match="without a zone"):
        NONE.check(f"http://[fe80::1{zone}]/")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost",
        "localhost.",
        "a.localhost",
        "localhost.localdomain",
        "ip6-localhost",
        "ip6-loopback",
    ],
)
def test_names_of_this_machine_are_refused(host):
    with pytest.raises(Forbidden, match=r"this machine; .*allow-list"):
        NONE.check(f"http://{host}:5678/")


@pytest.mark.parametrize("address", [*PUBLIC, *PUBLIC_V6, "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_pass(address):
    NONE.check(url_of(address))

    assert Guard([], resolving(address)).addresses("example.com", 443) == [address]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "HTTPS://Example.com:8443/a/b?c=d%20e&f=[1]#part",
        "http://xn--bcher-kva.de/",
        "http://n8n_main:5678/webhook-waiting/12?signature=ab.cd",
        "http://example.com./",
        "http://1.example.com",
        "http://a.b-c.d/@x?y=//z@w",
        "http://example.com:/",
    ],
)
def test_names_pass_until_they_are_looked_up(url):
    NONE.check(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "http://"),
        ("example.com", "http://"),
        ("//example.com/", "http://"),
        ("http:example.com", "http://"),
        ("http:/example.com", "http://"),
        ("ftp://example.com/", "http://"),
        ("file:///etc/passwd", "http://"),
        ("javascript:alert(1)", "http://"),
        ("http://", "names no host"),
        ("http:///x", "names no host"),
        ("http://:80/", "names no host"),
        ("http://./", "names no host"),
        ("http://?x", "names no host"),
        ("http://user:secret@example.com/", "take it out"),
        ("http://@example.com/", "take it out"),
        ("http://example.com@10.0.0.1/", "take it out"),
        ("http://example.com:0/", "1 to 65535"),
        ("http://example.com:65536/", "1 to 65535"),
        ("http://example.com:999999/", "1 to 65535"),
        ("http://example.com:+80/", "port"),
        ("http://example.com:80:80/", "port"),
        ("http://example.com:http/", "port"),
        ("http://[::1]x/", "not well-formed"),
        ("http://[::1/", "not well-formed"),
        ("http://[]/", "no IPv6 address"),
        ("http://[127.0.0.1]/", "no IPv6 address"),
        ("http://[v1.x]/", "no IPv6 address"),
        ("http://exa mple.com/", "space"),
        ("http://example.com/\r\nX: y", "control character"),
        ("http://example.com/\t", "control character"),
        ("http://example.com/\x00", "control character"),
        ("http://example.com/\x7f", "control character"),
        ("http://example.com\\@10.0.0.1/", "backslash"),
        ("http://１２７.0.0.1/", "xn--"),
        ("http://127。0。0。1/", "xn--"),
        ("http://ⓛocalhost/", "xn--"),
        ("http://example.com:８０/", "xn--"),
        ("http://127%2e0.0.1/", "no host name"),
        ("http://a..b/", "no host name"),
        ("http://-a.b/", "no host name"),
        ("http://*/", "no host name"),
        (f"http://{'a' * 64}.com/", "no host name"),
        (f"http://{'a.' * 127}com/", "no host name"),
        ("http://1.2.3.4.5/", "four decimal numbers"),
        ("http://256.1.1.1/", "four decimal numbers"),
        ("http://0x08080808/", "four decimal numbers"),
        ("http://example.1/", "four decimal numbers"),
        ("http://example.0x/", "four decimal numbers"),
    ],
)
def test_a_url_that_could_be_read_in_two_ways_is_refused_with_the_reason(url, reason):
    with pytest.raises(Forbidden, match=reason) as caught:
        NONE.check(url)

    assert "secret" not in str(caught.value)


def test_a_url_is_at_most_2048_characters_long():
    url = "http://example.com/"
    NONE.check(url + "x" * (2048 - len(url)))

    with pytest.raises(Forbidden, match="2048"):
        NONE.check(url + "x" * (2049 - len(url)))


@given(st.text(max_size=60).map("http://".__add__) | st.text(max_size=60))
def test_no_text_makes_the_check_fail_in_another_way(text):
    try:
        NONE.check(text)
    except Forbidden:
        return
    assert text.lower().startswith(("http://", "https://"))


@pytest.mark.parametrize(
    "others", [("10.0.0.1",), ("::1",), ("8.8.4.4", "::ffff:10.0.0.1"), ("fe80::1%2",)]
)
def test_one_private_record_among_public_ones_is_enough_to_refuse(others):
    for records in (("8.8.8.8", *others), (*others, "8.8.8.8")):
        with pytest.raises(Forbidden, match=r"^example\.com leads to .*allow-list"):
            Guard([], resolving(*records)).addresses("example.com", 443)


def test_every_address_is_given_once_in_the_order_of_the_look_up():
    guard = Guard([], resolving("2606:4700::1111", "8.8.8.8", "8.8.8.8"))

    assert guard.addresses("example.com", 443) == ["2606:4700::1111", "8.8.8.8"]


def test_a_name_that_does_not_resolve_is_an_os_error():
    def resolve(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(OSError, match="not known"):
        Guard([], resolve).addresses("nowhere.invalid", 80)


@pytest.mark.parametrize(
    "odd", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "::ffff:127.0.0.1"]
)
def test_the_real_look_up_leads_no_spelling_of_this_machine_past_the_guard(odd):
    try:
        found = NONE.addresses(odd, 80)
    except (Forbidden, OSError):
        return
    pytest.fail(f"{odd} leads to {found}")


@pytest.mark.parametrize(
    ("entry", "passes", "refused"),
    [
        ("n8n:5678", ["http://n8n:5678/", "http://N8N.:5678/"], ["http://n8n/", "http://m:5678/"]),
        ("N8N", ["http://n8n/", "https://n8n:1/"], ["http://x.n8n/"]),
        ("localhost:5678", ["http://localhost:5678/"], ["http://localhost/"]),
        ("10.1.2.3", ["http://10.1.2.3/", "http://10.1.2.3:9/"], ["http://10.1.2.4/"]),
        ("10.1.2.3:80", ["http://10.1.2.3/"], ["https://10.1.2.3/", "http://10.1.2.3:81/"]),
        ("10.1.0.0/16", ["http://10.1.9.9:1/"], ["http://10.2.0.0/"]),
        ("10.1.0.0/16:5678", ["http://10.1.9.9:5678/"], ["http://10.1.9.9/"]),
        ("10.1.0.0/16", ["http://[::ffff:10.1.0.1]/"], ["http://[::ffff:10.2.0.1]/"]),
        ("fd00::/8", ["http://[fd12::1]:7/"], ["http://[fc00::1]/"]),
        ("::1", ["http://[::1]/", "http://[0:0::1]:9/"], ["http://[::]/"]),
        ("[::1]:5678", ["http://[::1]:5678/"], ["http://[::1]/"]),
        ("[fd00::/8]:5678", ["http://[fdff::]:5678/"], ["http://[fdff::]/"]),
        ("[fd00::1]", ["http://[fd00::1]/"], ["http://[fd00::2]/"]),
        (" 10.0.0.1 ", ["http://10.0.0.1/"], ["http://10.0.0.2/"]),
    ],
)
def test_what_is_on_the_allow_list_passes_and_nothing_beside_it(entry, passes, refused):
    def resolve(host, port, **_):
        literal = ":" in host or host[0].isdigit()
        return resolving(host if literal else "10.255.255.254")(host, port)

    def goes(url):
        guard = Guard([entry], resolve)
        guard.check(url)
        target = Target.of(url)
        return guard.addresses(target.host, target.port)

    for url in passes:
        assert goes(url)
    for url in refused:
        with pytest.raises(Forbidden):
            goes(url)


def test_an_allowed_name_passes_whatever_it_resolves_to():
    guard = Guard(["n8n:5678"], resolving("172.18.0.4", "::1"))

    assert guard.addresses("n8n", 5678) == ["172.18.0.4", "::1"]
    with pytest.raises(Forbidden):
        guard.addresses("n8n", 5679)


def test_a_name_passes_if_each_of_its_addresses_is_in_an_allowed_network():
    inside, half = resolving("10.1.0.1", "10.1.0.2"), resolving("10.1.0.1", "10.2.0.1")

    assert Guard(["10.1.0.0/16"], inside).addresses("n8n", 80) == ["10.1.0.1", "10.1.0.2"]
    with pytest.raises(Forbidden, match=r"10\.2\.0\.1"):
        Guard(["10.1.0.0/16"], half).addresses("n8n", 80)


def test_an_allowed_address_does_not_allow_another_name_for_more():
    guard = Guard(["10.0.0.1:80"], resolving("10.0.0.1"))

    assert guard.addresses("n8n", 80) == ["10.0.0.1"]
    with pytest.raises(Forbidden):
        guard.addresses("n8n", 443)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        " ",
        "http://n8n:5678",
        "n8n:",
        "n8n:0",
        "n8n:x",
        "n8n:70000",
        "*.example.com",
        "a b",
        "user@n8n",
        "10.1.2.3/8",
        "10.0.0.0/33",
        "127.1",
        "2130706433",
        "[::1",
        "[::1]:",
        "[n8n]:80",
        "[10.0.0.1]:80",
        "fe80::1%eth0",
        "::g",
    ],
)
def test_a_wrong_entry_of_the_allow_list_is_named(entry):
    with pytest.raises(ValueError, match="give host:port, host, an address or a network") as caught:
        Guard(["n8n", entry])

    assert repr(entry) in str(caught.value)


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("http://A.b", Target("http", "a.b", 80, "/"), "a.b"),
        ("https://a.b./x?y#z", Target("https", "a.b", 443, "/x?y"), "a.b"),
        ("https://a.b:080?y=/", Target("https", "a.b", 80, "/?y=/"), "a.b:80"),
        (
            "http://[2606:4700:0::1]:81/",
            Target("http", "2606:4700::1", 81, "/"),
            "[2606:4700::1]:81",
        ),
    ],
)
def test_a_url_is_taken_apart_once_for_the_check_and_the_request(url, target, authority):
    assert Target.of(url) == target
    assert Target.of(url).authority == authority
