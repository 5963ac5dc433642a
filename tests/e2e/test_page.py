"""The page's files: codings, caching, tags, and what browsers are told."""

import gzip
import os

import pytest

HASHED, PLAIN = "index-BwxYz123.js", "index.html"
SCRIPT = b"console.log('a page');\n" * 100
FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def web(shared):
    """The folder of a small page. What lies as .br is no real brotli: the gateway only hands it out."""
    folder = shared.web
    for name, data in ((HASHED, SCRIPT), (PLAIN, b"<!doctype html>\n")):
        (folder / name).write_bytes(data)
        (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        (folder / f"{name}.br").write_bytes(b"br of " + data)
    return folder


def get(cluster, name, method="GET", accept="", **headers):
    headers = {"Accept-Encoding": accept, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return cluster.api.request(method, f"/{name}", headers=headers)


@pytest.mark.parametrize("accept, coding", [("gzip, deflate, br, zstd", "br"), ("gzip", "gzip"), ("br;q=0.3, gzip;q=0.8", "gzip"),
                                            ("br;q=0, gzip;q=0", None), ("identity, br;q=0.5", None), ("*", "br"), ("", None),
                                            ("deflate", None), ("identity;q=0", None)])
@pytest.mark.parametrize("name", [HASHED, PLAIN])
def test_the_best_coding_goes_out(shared, web, name, accept, coding):
    answer = get(shared, name, accept=accept)
    suffix = {"br": ".br", "gzip": ".gz", None: ""}[coding]
    assert answer.status == 200 and answer.headers["Content-Encoding"] == coding
    assert answer.body == (web / (name + suffix)).read_bytes()
    assert answer.headers["Content-Type"].startswith("text/javascript" if name == HASHED else "text/html")
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_a_coding_that_is_not_there_is_passed_over(shared, web):
    (web / "only.css").write_text("a {}")
    answer = get(shared, "only.css", accept="br, gzip")
    assert answer.status == 200 and answer.body == b"a {}" and answer.headers["Content-Encoding"] is None
    (web / "only.css.gz").write_bytes(gzip.compress(b"a {}"))
    assert get(shared, "only.css", accept="br, gzip").headers["Content-Encoding"] == "gzip"


def test_a_coding_is_no_file_of_its_own(shared, web):
    (web / "orphan.js.gz").write_bytes(gzip.compress(b"1"))
    for name in (f"{HASHED}.gz", f"{HASHED}.br", "index.html.gz", "orphan.js.gz", "orphan.js"):
        assert get(shared, name, accept="br, gzip").status == 404, name


def test_a_hashed_name_is_cached_for_good(shared, web):
    assert get(shared, HASHED).headers["Cache-Control"] == FOREVER
    (web / "icon-512x512.png").write_bytes(b"png")
    for name in (PLAIN, "", "icon-512x512.png"):
        assert get(shared, name).headers["Cache-Control"] == "no-cache", name


def test_a_tag_says_whether_the_file_is_still_the_same(shared, web):
    first = get(shared, "")
    tag = first.headers["ETag"]
    assert tag.startswith('"') and get(shared, PLAIN).headers["ETag"] == tag
    packed = get(shared, PLAIN, accept="gzip").headers["ETag"]
    assert packed != tag, "a strong tag is of one coding"
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = get(shared, PLAIN, If_None_Match=known)
        assert again.status == 304 and again.body == b"" and again.headers["ETag"] == tag, known
        assert again.headers["Cache-Control"] == "no-cache" and again.headers["Vary"] == "Accept-Encoding"
    for other in (packed, '"x"', tag.strip('"'), "x"):
        again = get(shared, PLAIN, If_None_Match=other)
        assert again.status == 200 and again.body == first.body, other
    kept = (web / PLAIN).read_bytes()
    stamp = (web / PLAIN).stat()
    (web / PLAIN).write_bytes(kept.replace(b"html", b"HTML"))
    os.utime(web / PLAIN, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    changed = get(shared, PLAIN, If_None_Match=tag)
    assert changed.status == 200 and changed.headers["ETag"] != tag, "the same length and time do not make it the same file"
    (web / PLAIN).write_bytes(kept)
    assert get(shared, PLAIN, If_None_Match=tag).status == 304


def test_two_gateways_name_the_same_tag(shared, web):
    other = shared.add_gateway()
    port = int(other.args[1].rsplit(":", 1)[1])
    client = shared.on_close(type(shared.api)("127.0.0.1", port))
    assert client.get("/").headers["ETag"] == shared.api.get("/").headers["ETag"]


def test_head_is_get_without_the_body(shared, web):
    for name in (HASHED, PLAIN, ""):
        for accept in ("", "gzip", "br"):
            got, head = get(shared, name, accept=accept), get(shared, name, "HEAD", accept)
            assert head.status == 200 and head.body == b""
            for header in ("Content-Length", "Content-Type", "Content-Encoding", "ETag", "Cache-Control", "Vary"):
                assert head.headers[header] == got.headers[header], (name, header)
    tag = get(shared, PLAIN).headers["ETag"]
    assert get(shared, PLAIN, "HEAD", If_None_Match=tag).status == 304


def test_types(shared, web):
    types = {"a.css": "text/css; charset=utf-8", "a.svg": "image/svg+xml", "a.png": "image/png", "a.ico": "image/x-icon",
             "a.json": "application/json", "a.webmanifest": "application/manifest+json", "a.js.map": "application/json",
             "a.txt": "text/plain; charset=utf-8", "a.woff2": "font/woff2", "a.js": "text/javascript; charset=utf-8"}
    for name, kind in types.items():
        (web / name).write_bytes(b"{}")
        assert get(shared, name).headers["Content-Type"] == kind
    for name in ("a.exe", "a", ".js", "README.md"):
        (web / name).write_bytes(b"{}")
        assert get(shared, name).status == 404, name


def test_a_file_of_any_size(shared, web):
    for name, size in (("empty.txt", 0), ("empty-BwxYz123.js", 0), ("large.txt", 3 << 20)):
        (web / name).write_bytes(b"x" * size)
        answer = get(shared, name)
        assert answer.status == 200 and len(answer.body) == size, name
    assert get(shared, "large.txt").headers["Cache-Control"] == "no-cache"


def test_only_plain_files_go_out(shared, web):
    (web / "folder.js").mkdir()
    os.mkfifo(web / "pipe.js")
    for name in ("folder.js", "pipe.js", "missing.js", "..%2findex.html", "a/b.js", "x" * 200 + ".js"):
        assert get(shared, name).status in (400, 404), name
    assert shared.api.post("/index.html").status == 405


def test_browsers_are_told_what_the_page_may_do(shared, web):
    for name in (HASHED, PLAIN, ""):
        headers = get(shared, name).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        own = {f"{kind}-src": "'self'" for kind in ("script", "style", "img", "connect", "worker", "manifest", "font")}
        assert policy == {**own, "default-src": "'none'", "base-uri": "'none'", "form-action": "'self'", "frame-ancestors": "'none'"}
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"] and "geolocation=()" in headers["Permissions-Policy"]


def test_a_page_that_was_never_built(clusters):
    cluster = clusters()
    (cluster.web / "index.html").unlink()
    cluster.gateway.stop()
    assert not cluster.gateway.events("page-missing")
    cluster.gateway.start()
    assert "npm run build" in cluster.gateway.wait_event("page-missing")
    for path in ("/", "/index.html"):
        answer = cluster.api.get(path)
        assert answer.status == 404 and "npm run build" in answer["error"] and answer["code"] == "NO_SUCH_PATH"
    assert "npm" not in cluster.api.get("/other.js")["error"]
    assert cluster.api.get("/api/info").status == 200, "the API needs no page"
