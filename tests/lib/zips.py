"""ZIP archives, good ones and those that nobody should extract."""

import io
import stat
import zipfile


def zip_of(files):
    """A ZIP of `files`, name to text or bytes."""
    return zip_raw([(name, data, 0o644 | stat.S_IFREG) for name, data in files.items()])


def zip_raw(entries):
    """A ZIP of (name, data, Unix mode), names and modes as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in entries:
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            info.create_system = 3  # Unix: the mode counts
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return out.getvalue()
