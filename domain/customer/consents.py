"""Decisions on what a customer may be addressed for. The last word on a purpose and a channel counts."""

from domain.customer.commands import GrantCustomerConsent, WithdrawCustomerConsent
from domain.customer.events import CustomerConsentGranted, CustomerConsentWithdrawn, CustomerEvent
from domain.customer.state import Consent, Customer
from domain.customer.words import MOST_CONSENTS, ConsentChannel
from domain.kernel import one_too_many, require


def consent_granted(state: Customer, command: GrantCustomerConsent) -> list[CustomerEvent]:
    purpose, former = _former_consent(state, command.purpose, command.channel)
    if former == Consent(purpose, command.basis, command.text_version, command.proof):
        return []
    require(one_too_many(state.consents, MOST_CONSENTS, ("purpose",)) if former is None else None)
    return [
        CustomerConsentGranted(
            purpose=purpose,
            channel=command.channel,
            basis=command.basis,
            text_version=command.text_version,
            proof=command.proof,
        )
    ]


def consent_withdrawn(state: Customer, command: WithdrawCustomerConsent) -> list[CustomerEvent]:
    """`any` withdraws each channel that is granted, and itself; what was never granted can be withdrawn too. Once more
    with another proof, what was withdrawn has that one.

    There is a most for new purposes only: what may have been granted can be withdrawn at any time, on each channel.
    """
    purpose, _ = _former_consent(state, command.purpose, command.channel)
    is_new = all(key != purpose.casefold() for key, _ in state.consents)
    require(one_too_many(state.consents, MOST_CONSENTS, ("purpose",)) if is_new else None)
    withdrawn: list[CustomerEvent] = []
    for channel in ConsentChannel if command.channel is ConsentChannel.ANY else (command.channel,):
        former = state.consents.get((purpose.casefold(), channel))
        if _says_more(command, former) if channel is command.channel else former and not former.withdrawn:
            withdrawn.append(
                CustomerConsentWithdrawn(
                    purpose=purpose,
                    channel=channel,
                    basis=former.basis if former else None,
                    text_version=former.text_version if former else None,
                    proof=command.proof,
                )
            )
    return withdrawn


def _says_more(command: WithdrawCustomerConsent, former: Consent | None) -> bool:
    if former is None or not former.withdrawn:
        return True
    return command.proof is not None and command.proof != former.proof


def _former_consent(state: Customer, purpose: str, channel: ConsentChannel) -> tuple[str, Consent | None]:
    """The purpose as it was first written, and what was said last of the channel."""
    key = purpose.casefold()
    spelled = next((one.purpose for (other, _), one in state.consents.items() if other == key), purpose)
    return spelled, state.consents.get((key, channel))
