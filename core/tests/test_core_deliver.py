"""One try to deliver a callback, at real receivers on this machine."""

import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from menos_bus.callbacks import deliver
from menos_bus.callbacks.deliver import LONGEST_TEXT, DeliveryFailed, post
from menos_bus.callbacks.guard import Guard
from menos_bus.version import VERSION

HERE = Guard(["127.0.0.0/8"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def leading_to(*addresses, allow=("127.0.0.0/8",)):
    """A guard for which every name leads to these addresses."""
    asked = []

    def resolve(host, port, **_):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    guard = Guard(allow, resolve)
    guard.asked = asked
    return guard


class Receiver:
    """Listens on a free port and plays ``behave(connection, receiver)`` for each connection."""

    def __init__(self, behave):
        self.stopped = threading.Event()
        self.requests = []
        self._behave = behave
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def read(self, connection):
        """Read one request whole."""
        got = b""
        while b"\r\n\r\n" not in got:
            part = connection.recv(65536)
            if not part:
                return
            got += part
        head, _, body = got.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = [line.split(": ", 1) for line in lines]
        size = int({name.lower(): value for name, value in headers}["content-length"])
        while len(body) < size:
            part = connection.recv(65536)
            if not part:
                return
            body += part
        self.requests.append((first, headers, body))

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection):
        with connection:
            connection.settimeout(30)
            # The bus hung up, or did not like the certificate.
            with suppress(OSError):
                self._behave(connection, self)

    def close(self):
        self.stopped.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(30)


@pytest.fixture
def receiver():
    """Start a receiver: with what it answers, or a function that plays it."""
    with ExitStack() as stack:

        def start(behave):
            if isinstance(behave, bytes):
                text = behave

                def behave(connection, receiver):
                    receiver.read(connection)
                    connection.sendall(text)

            made = Receiver(behave)
            stack.callback(made.close)
            return made

        yield start


def dripping(before, text, pause=0.1):
    """Answers the first part at once and then byte by byte, over and over."""

    def behave(connection, receiver):
        receiver.read(connection)
        connection.sendall(before)
        while not receiver.stopped.wait(pause):
            connection.sendall(text)

    return behave


def silent(connection, receiver):
    receiver.stopped.wait(30)


def fails(url, guard=HERE, seconds=10.0, body=b"{}", **more):
    """The reason why a try fails, and how long it took."""
    started = time.monotonic()
    with pytest.raises(DeliveryFailed) as caught:
        post(url, body, {}, guard, seconds, **more)
    return str(caught.value), time.monotonic() - started


def test_the_exact_bytes_arrive_with_the_headers(receiver):
    to = receiver(OK)
    body = '{"text": "größer"}'.encode()

    answer = post(f"{to.url}?a=b%20c#d", body, {"webhook-id": "evt", "X-Token": "t"}, HERE, 10)

    [(first, headers, got)] = to.requests
    assert (answer.status, answer.text, answer.retry_after) == (200, "ok", None)
    assert first == "POST /hook?a=b%20c HTTP/1.1"
    assert got == body
    assert sorted((name.lower(), value) for name, value in headers) == [
        ("accept-encoding", "identity"),
        ("connection", "close"),
        ("content-length", str(len(body))),
        ("content-type", "application/json"),
        ("host", f"127.0.0.1:{to.port}"),
        ("user-agent", f"menos-bus/{VERSION}"),
        ("webhook-id", "evt"),
        ("x-token", "t"),
    ]


def test_the_receiver_may_ask_for_time_by_seconds_in_letters_of_any_size(receiver):
    to = receiver(b"HTTP/1.1 503 Busy\r\nRETRY-After: 7\r\nContent-Length: 0\r\n\r\n")

    answer = post(to.url, b"{}", {}, HERE, 10)

    assert (answer.status, answer.retry_after) == (503, 7.0)


@pytest.mark.parametrize(("hours", "least", "most"), [(2, 7000, 7200), (-2, 0, 0)])
def test_the_receiver_may_ask_for_time_by_a_date(receiver, hours, least, most):
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    to = receiver(f"HTTP/1.1 429 X\r\nRetry-After: {date}\r\nContent-Length: 0\r\n\r\n".encode())

    assert least <= post(to.url, b"{}", {}, HERE, 10).retry_after <= most


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("9" * 400, float("inf"))])
def test_the_receiver_may_ask_for_time_in_seconds(receiver, text, seconds):
    to = receiver(f"HTTP/1.1 429 X\r\nRetry-After: {text}\r\nContent-Length: 0\r\n\r\n".encode())

    assert post(to.url, b"{}", {}, HERE, 10).retry_after == seconds


@pytest.mark.parametrize("text", ["soon", "-5", "1.5", "Mon, 99 Abc 2026", "²", ""])
def test_a_time_that_cannot_be_read_is_none(receiver, text):
    head = b"HTTP/1.1 429 X\r\nContent-Length: 0\r\nRetry-After: "
    to = receiver(head + text.encode() + b"\r\n\r\n")

    assert post(to.url, b"{}", {}, HERE, 10).retry_after is None


def test_redirects_are_not_followed(receiver):
    other = receiver(OK)
    head = f"HTTP/1.1 307 X\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n"
    to = receiver(head.encode())

    assert post(to.url, b"{}", {}, HERE, 10).status == 307
    assert (len(to.requests), other.requests) == (1, [])


def test_proxies_and_passwords_of_the_environment_are_not_used(receiver, monkeypatch, tmp_path):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    to = receiver(OK)

    assert post(to.url, b"{}", {}, HERE, 10).status == 200
    assert "authorization" not in {name.lower() for name, _ in to.requests[0][1]}


def test_only_the_beginning_of_a_long_answer_is_read(receiver):
    hung_up = threading.Event()

    def endless(connection, receiver):
        receiver.read(connection)
        connection.sendall(b"HTTP/1.1 500 X\r\n\r\n")
        try:
            while not receiver.stopped.is_set():
                connection.sendall(b"x" * 65536)
        except OSError:
            hung_up.set()

    to = receiver(endless)

    answer = post(to.url, b"{}", {}, HERE, 60)

    assert answer.text == "x" * LONGEST_TEXT
    assert hung_up.wait(30)


def test_a_text_that_is_not_utf8_is_readable_still(receiver):
    to = receiver(b"HTTP/1.1 400 X\r\nContent-Length: 3\r\n\r\na\xffb")

    assert post(to.url, b"{}", {}, HERE, 10).text == "a\N{REPLACEMENT CHARACTER}b"


def test_a_receiver_that_drips_its_headers_is_left_in_time(receiver):
    to = receiver(dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x"))

    reason, took = fails(to.url, seconds=1)

    assert reason == "timed out after 1 s"
    assert took < 10


@pytest.mark.parametrize("interim", [b"HTTP/1.1 102 X\r\n\r\n", b"HTTP/1.1 100 X\r\n\r\n"])
def test_a_receiver_that_always_asks_to_wait_is_left_in_time(receiver, interim):
    to = receiver(dripping(b"", interim))

    assert fails(to.url, seconds=1)[0] == "timed out after 1 s"


def test_the_status_counts_when_the_text_drips(receiver):
    to = receiver(dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x"))
    started = time.monotonic()

    answer = post(to.url, b"{}", {}, HERE, 1)

    assert answer.status == 200
    assert 0 < len(answer.text) < 100
    assert time.monotonic() - started < 10


def test_the_status_counts_when_the_text_breaks_off(receiver):
    to = receiver(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")

    answer = post(to.url, b"{}", {}, HERE, 10)

    assert (answer.status, answer.text) == (200, "only this")


def test_a_receiver_that_does_not_answer_is_left_in_time(receiver):
    reason, took = fails(receiver(silent).url, seconds=0.5)

    assert reason == "timed out after 0.5 s"
    assert took < 10


def test_a_receiver_that_does_not_read_is_left_in_time(receiver):
    reason, took = fails(receiver(silent).url, seconds=1, body=b"x" * 2**25)

    assert reason == "timed out after 1 s"
    assert took < 10


def test_a_receiver_that_reads_slowly_is_left_in_time(receiver):
    def sip(connection, receiver):
        while not receiver.stopped.wait(0.05):
            connection.recv(2**18)

    reason, took = fails(receiver(sip).url, seconds=1, body=b"x" * 2**26)

    assert reason == "timed out after 1 s"
    assert took < 10


def test_a_tls_handshake_that_does_not_come_is_left_in_time(receiver):
    to = receiver(silent)

    reason, took = fails(f"https://127.0.0.1:{to.port}/", seconds=1)

    assert reason == "timed out after 1 s"
    assert took < 10


def test_a_look_up_that_does_not_come_is_left_in_time():
    end = threading.Event()

    def resolve(*_, **__):
        end.wait(30)
        return []

    reason, took = fails("http://example.com/", Guard([], resolve), seconds=1)
    end.set()

    assert reason == "timed out after 1 s"
    assert took < 10


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_closed_port_is_told():
    assert fails(f"http://127.0.0.1:{closed_port()}/")[0] == "connection refused"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (b"", "no valid HTTP: Server disconnected without sending a response."),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no valid HTTP: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "no valid HTTP: "),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, "no valid HTTP: "),
        (b"x" * 90_000 + b"\r\n\r\n", "no valid HTTP: "),
    ],
)
def test_an_answer_that_is_no_http_is_told_briefly(receiver, told, reason):
    said, _ = fails(receiver(told).url)

    assert said.startswith(reason)
    assert len(said) <= 200


def test_a_receiver_that_hangs_up_hard_is_told(receiver):
    def reset(connection, receiver):
        receiver.read(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert fails(receiver(reset).url)[0] == "connection reset by peer"


def test_a_name_that_does_not_resolve_is_told():
    def resolve(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    reason, _ = fails("http://nowhere.invalid/", Guard([], resolve))

    assert reason == "name does not resolve: name or service not known"
    assert fails("http://nowhere.invalid/", leading_to())[0] == "name does not resolve"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{}/", "http://[::ffff:127.0.0.1]:{}/", "http://0.0.0.0:{}/"]
)
def test_what_is_not_allowed_is_not_connected_to(receiver, url):
    connected = threading.Event()
    to = receiver(lambda connection, receiver: connected.set())

    assert fails(url.format(to.port), Guard([]))[0].startswith("not allowed: ")
    reason, _ = fails(f"http://a.b:{to.port}/", leading_to("8.8.8.8", "127.0.0.1", allow=()))
    assert reason.startswith("not allowed: a.b leads to 127.0.0.1")
    assert not connected.is_set()


def test_a_url_that_was_never_allowed_is_told():
    assert fails("ftp://example.com/")[0] == "not allowed: must start with http:// or https://"


def test_the_name_is_looked_up_once_and_the_checked_address_connected_to(receiver):
    to = receiver(OK)
    guard = leading_to("127.0.0.1")

    assert post(f"http://rebind.example:{to.port}/", b"{}", {}, guard, 10).status == 200
    assert guard.asked == ["rebind.example"]
    assert ["host", f"rebind.example:{to.port}"] in [
        [name.lower(), value] for name, value in to.requests[0][1]
    ]


def test_the_next_address_is_tried_when_one_does_not_take_connections(receiver):
    to = receiver(OK)

    answer = post(f"http://a.b:{to.port}/", b"{}", {}, leading_to("127.0.0.2", "127.0.0.1"), 10)

    assert answer.status == 200


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.3 is no address")
def test_an_address_that_never_answers_leaves_time_for_the_next(receiver):
    # Where nothing listens any more, but the queue of connections is full.
    with socket.socket() as full, ExitStack() as stack:
        full.bind(("127.0.0.3", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.3", port))
        with socket.create_server(("127.0.0.1", port)) as server:
            answered = threading.Thread(target=lambda: answer_once(server))
            answered.start()
            guard = leading_to("127.0.0.3", "127.0.0.1")
            assert post(f"http://a.b:{port}/", b"{}", {}, guard, 4).status == 200
            answered.join(30)


def answer_once(server):
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(OK)


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\0b"])
def test_a_header_cannot_bring_another_one(receiver, value):
    to = receiver(OK)

    with pytest.raises(DeliveryFailed, match="no valid HTTP"):
        post(to.url, b"{}", {"x-token": value}, HERE, 10)
    assert to.requests == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Key and certificate of ``hook.test``, its own authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=hook.test", "-keyout", path, "-out", path),
            *("-addext", "subjectAltName=DNS:hook.test"),
        ],
        check=True,
        capture_output=True,
    )
    return path


@pytest.fixture
def tls_receiver(receiver, certificate):
    """A receiver over TLS; ``asked`` has the names that it was asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    asked = []
    context.sni_callback = lambda _, name, __: asked.append(name)

    def behave(connection, receiver):
        with context.wrap_socket(connection, server_side=True) as secured:
            receiver.read(secured)
            secured.sendall(OK)

    made = receiver(behave)
    made.asked = asked
    return made


def trusting(certificate):
    return ssl.create_default_context(cafile=certificate)


def test_tls_goes_to_the_checked_address_and_asks_for_the_name(tls_receiver, certificate):
    url = f"https://hook.test:{tls_receiver.port}/hook"
    guard = leading_to("127.0.0.1")

    answer = post(url, b"{}", {}, guard, 10, trusting(certificate))

    assert (answer.status, answer.text) == (200, "ok")
    assert tls_receiver.asked == ["hook.test"]
    assert guard.asked == ["hook.test"]


@pytest.mark.parametrize("host", ["other.test", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(tls_receiver, certificate, host):
    url = f"https://{host}:{tls_receiver.port}/"

    reason, _ = fails(url, leading_to("127.0.0.1"), tls=trusting(certificate))

    assert reason.startswith("TLS: ")
    assert host in reason
    assert tls_receiver.requests == []


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_receiver, monkeypatch, certificate):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    deliver._public_authorities.cache_clear()

    reason, _ = fails(f"https://hook.test:{tls_receiver.port}/", leading_to("127.0.0.1"))

    assert reason == "TLS: self-signed certificate"
    assert tls_receiver.requests == []


def test_a_receiver_without_tls_is_told(receiver):
    to = receiver(lambda connection, receiver: connection.sendall(b"HTTP/1.1 400 X\r\n\r\n"))

    assert fails(f"https://127.0.0.1:{to.port}/")[0].startswith("TLS: ")


def test_a_body_that_drips_over_tls_ends_in_time(receiver, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    drip = dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x")

    def behave(connection, receiver):
        with context.wrap_socket(connection, server_side=True) as secured:
            drip(secured, receiver)

    to = receiver(behave)

    reason, took = fails(
        f"https://hook.test:{to.port}/", leading_to("127.0.0.1"), 1, tls=trusting(certificate)
    )

    assert reason == "timed out after 1 s"
    assert took < 10
