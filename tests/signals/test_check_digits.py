from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.signals import check_digits, national_ids
from molting.signals.check_digits import base58check, bech32, iban, luhn, verhoeff

# Published examples: registries' own specimens, test vectors of standards, Wikipedia's.
IBANS = [
    "GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "FR14 2004 1010 0505 0001 3M02 606",
    "NO93 8601 1117 947", "CH9300762011623852957", "nl91 abna 0417 1643 00",
    "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
]  # fmt: skip
WALLETS = ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"]
SEGWIT = [
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
]
CARDS = ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009", "6011000000000004"]

IDS = {
    "078-05-1120": national_ids.ssn,
    "12345678Z": national_ids._dni,
    "X1234567L": national_ids._dni,
    "RSSMRA85T10A562S": national_ids._codice_fiscale,
    "2 55 08 14 168 025 38": national_ids._nir,
    "85.07.30-033.28": national_ids._belgium,
    "811218-9876": national_ids._personnummer,
    "131052-308T": national_ids._hetu,
    "44051401359": national_ids._pesel,
    "10000000146": national_ids._turkey,
    "529.982.247-25": national_ids._cpf,
    "11010519491231002X": national_ids._ric,
    "12.345.678-5": national_ids._rut,
    "20-12345678-6": national_ids._cuit,
    "736028/5163": national_ids._rodne,
    "1800101221144": national_ids._romania,
    "8001015009087": national_ids._south_africa,
    "1234567T": national_ids._pps,
    "S1234567D": national_ids._nric,
    "F1234567N": national_ids._nric,
    "M1234567K": national_ids._nric,
    "A123456789": national_ids._taiwan,
    "A123456(3)": national_ids._hong_kong,
    "756.9217.0769.85": national_ids._ahv,
    "2341 2341 2346": verhoeff,
    "36 574 261 809": national_ids._steuer_id,
    "0101006500006": national_ids._jmbg,
    "046 454 286": luhn,
}


@pytest.mark.parametrize("number", IBANS)
def test_an_iban_has_its_length_and_its_check_digits(number: str) -> None:
    assert iban(number)
    assert not iban(number[:-1])
    swapped = number.replace(number[2:4], f"{(int(number[2:4]) + 1) % 100:02d}", 1)
    assert not iban(swapped)
    assert check_digits.iban_length(number + " and more") == len(number)


@pytest.mark.parametrize("address", WALLETS)
def test_a_base58_address_carries_its_own_checksum(address: str) -> None:
    assert base58check(address)
    assert not base58check(address[:-1] + ("b" if address[-1] == "a" else "a"))
    assert not base58check(address.replace("1", "0"))


@pytest.mark.parametrize("address", SEGWIT)
def test_a_bech32_address_carries_its_own_checksum(address: str) -> None:
    assert bech32(address)
    assert not bech32(address[:-1] + ("q" if address[-1].lower() != "q" else "p"))
    assert not bech32(address[:4] + address[4:].swapcase()), "mixed case is not allowed"


@pytest.mark.parametrize("number", CARDS)
def test_luhn(number: str) -> None:
    assert luhn(number)
    assert not luhn(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize("number", IDS)
def test_published_identity_numbers_pass_and_a_wrong_digit_does_not(number: str) -> None:
    check = IDS[number]
    assert check(number)
    if check is national_ids.ssn:
        assert not check("000-05-1120")
        return
    # The last digit that can be raised: letters stay, and so does the layout.
    last = max(i for i, c in enumerate(number) if c.isdigit())
    assert not check(number[:last] + str((int(number[last]) + 1) % 10) + number[last + 1 :])


@given(st.text("0123456789- ", max_size=30))
def test_any_digits_can_be_asked(text: str) -> None:
    assert isinstance(luhn(text), bool)
    assert isinstance(verhoeff(text), bool)
    assert isinstance(iban("DE" + text), bool)
    assert check_digits.weighted(text, (1, 2, 3), 11) in range(-1, 11)
