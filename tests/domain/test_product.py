"""Product: list prices have a currency, codes are unique among what is sold, a discontinued product can be resumed."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.kernel import Claim, ExternalId, Known, Standing
from domain.kernel.fields import NumberOutOfRange
from domain.product import (
    AddProduct,
    AddProductExternalId,
    ChangeProductCode,
    ChangeProductPrice,
    DiscontinueProduct,
    ListPriceNeedsCurrency,
    ListPriceNegative,
    ProductAdded,
    ProductCodeChanged,
    ProductCodeTaken,
    ProductCommand,
    ProductDiscontinued,
    ProductExternalIdAdded,
    ProductExternalIdTaken,
    ProductPriceChanged,
    ProductRenamed,
    ProductResumed,
    RenameProduct,
    ResumeProduct,
    TooManyProductExternalIds,
    product,
)
from tests.domain.scenario import NOW, Scenario, lived

ID = UUID(int=1)
given = Scenario(product)
SHOP = ExternalId(source="shop", id="42")
added = ProductAdded(
    name="GTX Pro", series="GTX", code="GTX-P", price=Decimal("4821.00"), currency="USD", external_ids=(SHOP,)
)


def test_a_product_is_added_with_its_price_in_minor_units() -> None:
    command = AddProduct(
        id=ID,
        name="GTX Pro",
        series="GTX",
        code="GTX-P",
        price=Decimal("4820.996"),
        currency="USD",
        external_ids=(SHOP, SHOP),
    )
    given().when(command).then(added)


def test_a_currency_without_a_price_is_left_out() -> None:
    bare = ProductAdded(name="Talk", series=None, code=None, price=None, currency=None, external_ids=())
    given().when(AddProduct(id=ID, name="Talk", currency="USD")).then(bare)


def test_a_list_price_is_not_negative_and_has_a_currency() -> None:
    command = AddProduct(id=ID, name="Talk", price=Decimal(-1))
    given().when(command).refused(
        ListPriceNegative(path=("price",)),
        ListPriceNeedsCurrency(path=("currency",)),
    )


def test_no_list_price_is_rounded_beyond_its_bounds() -> None:
    price = Decimal("999999999999.999")
    rule = NumberOutOfRange(path=("price",), least="0", most="999999999999.99")
    given().when(AddProduct(id=ID, name="Talk", price=price, currency="EUR")).refused(rule)
    given(added).when(ChangeProductPrice(id=ID, price=price)).refused(rule)
    in_dinars = ProductPriceChanged(
        old_price=Decimal("4821.00"), old_currency="USD", new_price=price, new_currency="KWD"
    )
    given(added).when(ChangeProductPrice(id=ID, price=price, currency="KWD")).then(in_dinars)


def test_a_price_keeps_its_currency_unless_another_is_named() -> None:
    changed = ProductPriceChanged(
        old_price=Decimal("4821.00"), old_currency="USD", new_price=Decimal("5000.00"), new_currency="USD"
    )
    given(added).when(ChangeProductPrice(id=ID, price=Decimal(5000))).then(changed)
    in_yen = ProductPriceChanged(
        old_price=Decimal("4821.00"), old_currency="USD", new_price=Decimal(5000), new_currency="JPY"
    )
    given(added).when(ChangeProductPrice(id=ID, price=Decimal(5000), currency="JPY")).then(in_yen)
    given(added).when(ChangeProductPrice(id=ID, price=Decimal(4821))).then()
    given(added).when(ChangeProductPrice(id=ID, price=Decimal(-1))).refused(ListPriceNegative(path=("price",)))


def test_a_price_can_be_removed() -> None:
    removed = ProductPriceChanged(old_price=Decimal("4821.00"), old_currency="USD", new_price=None, new_currency=None)
    given(added).when(ChangeProductPrice(id=ID, price=None)).then(removed)
    given(added, removed).when(ChangeProductPrice(id=ID, price=Decimal(1))).refused(
        ListPriceNeedsCurrency(path=("currency",))
    )


def test_a_product_is_renamed() -> None:
    given(added).when(RenameProduct(id=ID, name="GTXPro")).then(ProductRenamed(old="GTX Pro", new="GTXPro"))
    given(added).when(RenameProduct(id=ID, name="GTX Pro")).then()


def test_a_product_has_another_code_or_none() -> None:
    other = ProductCodeChanged(old="GTX-P", new="GTX-Q")
    given(added).when(ChangeProductCode(id=ID, code="GTX-Q")).then(other)
    given(added, other).when(ChangeProductCode(id=ID, code=None)).then(ProductCodeChanged(old="GTX-Q", new=None))
    given(added).when(ChangeProductCode(id=ID, code="GTX-P")).then()
    given(added, ProductDiscontinued()).when(ChangeProductCode(id=ID, code="GTX-Q")).then(other)


def test_a_product_is_discontinued_and_resumed() -> None:
    given(added).when(DiscontinueProduct(id=ID)).then(ProductDiscontinued())
    given(added, ProductDiscontinued()).when(ResumeProduct(id=ID)).then(ProductResumed())
    given(added).when(ResumeProduct(id=ID)).then()


def test_others_see_whether_it_is_sold() -> None:
    assert product.standing(given(added).state) == Standing(kind="product")
    assert not product.standing(given(added, ProductDiscontinued()).state).active


def test_a_product_takes_external_ids_once_and_up_to_a_limit() -> None:
    again = AddProductExternalId(id=ID, source="shop", external_id="42")
    given(added).when(again).then()
    erp = ProductExternalIdAdded(external_id=ExternalId(source="erp", id="7"))
    given(added).when(AddProductExternalId(id=ID, source="erp", external_id="7")).then(erp)
    full = [ProductExternalIdAdded(external_id=ExternalId(source="erp", id=str(n))) for n in range(19)]
    given(added, *full).when(AddProductExternalId(id=ID, source="erp", external_id="99")).refused(
        TooManyProductExternalIds(path=("external_id",), most=20),
    )


def test_the_code_is_claimed_while_the_product_is_sold() -> None:
    shop, code = Claim("product_external_id", "shop:42"), Claim("product_code", "gtx-p")
    assert product.claims(given(added).state) == {shop, code}
    assert product.claims(given(added, ProductDiscontinued()).state) == {shop}
    other = ProductCodeChanged(old="GTX-P", new="GTX-Q")
    assert product.claims(given(added, other).state) == {shop, Claim("product_code", "gtx-q")}
    assert product.claims(given(added, ProductCodeChanged(old="GTX-P", new=None)).state) == {shop}


@pytest.mark.parametrize(
    ("command", "scope", "rule"),
    [
        (AddProduct(id=ID, name="x"), "product_code", ProductCodeTaken(path=("code",))),
        (ChangeProductCode(id=ID, code="y"), "product_code", ProductCodeTaken(path=("code",))),
        (ResumeProduct(id=ID), "product_code", ProductCodeTaken()),
        (
            AddProduct(id=ID, name="x", external_ids=(ExternalId(source="a", id="b"),)),
            "product_external_id",
            ProductExternalIdTaken(path=("external_ids", 0, "id")),
        ),
        (
            AddProductExternalId(id=ID, source="a", external_id="b"),
            "product_external_id",
            ProductExternalIdTaken(path=("external_id",)),
        ),
    ],
)
def test_a_taken_claim_names_its_rule(
    command: ProductCommand, scope: str, rule: ProductCodeTaken | ProductExternalIdTaken
) -> None:
    assert product.taken(command, Claim(scope, "a:b")) == rule


names = st.sampled_from(["GTX", "MG", "Talk"])
prices = st.none() | st.decimals(-5, 5000, places=3)
currencies = st.sampled_from([None, "USD", "JPY", "KWD"])
later: st.SearchStrategy[ProductCommand] = st.one_of(
    st.builds(RenameProduct, id=st.just(ID), name=names),
    st.builds(ChangeProductPrice, id=st.just(ID), price=prices, currency=currencies),
    st.builds(ChangeProductCode, id=st.just(ID), code=st.none() | names),
    st.builds(AddProductExternalId, id=st.just(ID), source=names, external_id=names),
    st.builds(DiscontinueProduct, id=st.just(ID)),
    st.builds(ResumeProduct, id=st.just(ID)),
)


@for_all(st.lists(later, max_size=20))
def test_whatever_happens_a_price_is_never_negative_and_never_without_currency(commands: list[ProductCommand]) -> None:
    state = product.fold(lived(product, [AddProduct(id=ID, name="GTX"), *commands], Known(now=NOW)))
    assert (state.price is None) == (state.currency is None)
    assert state.price is None or state.price >= 0
