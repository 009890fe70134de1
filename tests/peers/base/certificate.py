"""Certificates of a certification authority that only these tests know."""

from .packages import run

ELLIPTIC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]


class Authority:
    """Makes certificates in a folder; `ca.pem` is its own."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        folder.chmod(0o755)
        self.certificate = folder / "ca.pem"
        self.key = folder / "ca.key"
        run("openssl", "req", "-x509", *ELLIPTIC, "-nodes", "-days", "30",
            "-subj", "/CN=Postrider test authority",
            "-addext", "keyUsage=critical,keyCertSign",
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, days=30, own=False):
        """The files (certificate, key) for the host `name`. `own`: signed by itself
        instead of by the authority."""
        certificate = self.folder / f"{name}{'.own' if own else ''}.pem"
        key = certificate.with_suffix(".key")
        signer = [] if own else ["-CA", self.certificate, "-CAkey", self.key]
        run("openssl", "req", "-x509", *ELLIPTIC, "-nodes", "-days", days, "-subj", f"/CN={name}",
            *signer, "-addext", f"subjectAltName=DNS:{name}",
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-keyout", key, "-out", certificate)
        key.chmod(0o600)
        return certificate, key
