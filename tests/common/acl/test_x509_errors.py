from __future__ import annotations

import ssl

import pytest

from common.acl.x509_errors import NUMBERS, name_of_error


@pytest.mark.parametrize(
    "number, name",
    [
        (0, "X509_V_OK"),
        (2, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT"),
        (10, "X509_V_ERR_CERT_HAS_EXPIRED"),
        (18, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"),
        (19, "X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN"),
        (20, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
        (23, "X509_V_ERR_CERT_REVOKED"),
        (62, "X509_V_ERR_HOSTNAME_MISMATCH"),
        (75, "X509_V_ERR_OCSP_CERT_UNKNOWN"),
    ],
)
def test_numbers_of_openssl(number: int, name: str) -> None:
    assert NUMBERS[name] == number
    assert name_of_error(number) == name


def test_unknown_numbers_stand_for_themselves() -> None:
    assert name_of_error(999) == "999"


def test_the_standard_library_speaks_of_the_same_hostname_mismatch() -> None:
    assert NUMBERS["X509_V_ERR_HOSTNAME_MISMATCH"] == 62
    assert ssl.OPENSSL_VERSION_INFO >= (1, 1)
