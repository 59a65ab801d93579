"""Which fields of its record each event may set, by their names in GraphQL, for those who look through a history.

What every event sets is left out, such as `version` and `changedAt`. So are changed details: an event names those.
That it is what the folds set, `tests/api/test_fields_set.py` shows.
"""

import re
from collections.abc import Mapping, Sequence

from domain.catalogue import catalogue
from projections.event_data import facts_of

_FIELDS_SET: Mapping[str, str] = {
    "CustomerRegistered": (
        "kind name status relationship team source language createdAt externalIds contactPoints owner parent"
    ),
    "CustomerRenamed": "name",
    "CustomerDetailsChanged": "",
    "CustomerContactPointAdded": "contactPoints primary",
    "CustomerContactPointRemoved": "contactPoints",
    "CustomerContactPointMadePrimary": "contactPoints primary",
    "CustomerClassified": "classifications",
    "CustomerTagAdded": "tags",
    "CustomerTagRemoved": "tags",
    "CustomerOwnerAssigned": "owner team",
    "CustomerParentAssigned": "parent",
    "CustomerExternalIdAdded": "externalIds",
    "CustomerExternalIdRemoved": "externalIds",
    "CustomerContactLinked": "contacts",
    "CustomerContactUnlinked": "contacts",
    "CustomerRelationshipChanged": "relationship",
    "CustomerConsentGranted": "consents",
    "CustomerConsentWithdrawn": "consents",
    "CustomerNoteAdded": "notes",
    "CustomerArchived": "status archivedAt",
    "CustomerRestored": "status archivedAt",
    "CustomerUnmasked": "",
    "CustomerPersonalDataExported": "",
    "CustomerErasureRequested": "erasure erasureAt",
    "CustomerErasureRequestWithdrawn": "erasure erasureAt",
    "CustomerErasureApproved": "erasure erasureAt",
    "CustomerPersonalDataErased.2": "status erasure erasureAt",
    "CustomerLegalHoldPlaced": "legalHolds",
    "CustomerLegalHoldLifted": "legalHolds",
    "OpportunityOpened": (
        "title status pipeline stage stageEnteredAt probability probabilityOverridden expectedClose team"
        " source campaign openedAt stageChanges lines externalIds customer amount owner"
    ),
    "OpportunityRenamed": "title",
    "OpportunityCustomerAssigned": "customer",
    "OpportunityStageChanged": "stageChanges stage stageEnteredAt probability",
    "OpportunityPipelineChanged": "stageChanges pipeline stage stageEnteredAt probability",
    "OpportunityAmountChanged": "amount",
    "OpportunityCloseDateMoved": "expectedClose",
    "OpportunityProbabilityOverridden": "probability probabilityOverridden",
    "OpportunityLineAdded": "lines amount",
    "OpportunityLineChanged": "lines quantity price discount tax total amount",
    "OpportunityLineRemoved": "lines amount",
    "OpportunityReassigned": "owner team",
    "OpportunityWon": "status probability closedOn",
    "OpportunityLost": "status probability closedOn lossReason competitor lossNote",
    "OpportunityReopened": "status probability closedOn lossReason competitor lossNote probabilityOverridden",
    "OpportunityNoteAdded": "notes",
    "OpportunityExternalIdAdded": "externalIds",
    "TicketOpened": (
        "number subject status kind priority channel queue escalationLevel escalated openedAt messages externalIds"
        " customer assignee follows"
    ),
    "TicketAssigned": "assignee status",
    "TicketQueueChanged": "queue",
    "TicketPriorityChanged": "priority",
    "TicketKindChanged": "kind",
    "TicketSubjectChanged": "subject",
    "TicketCustomerAssigned": "customer",
    "TicketCustomerReplied": "messages status solution solvedAt solutionNote",
    "TicketAgentReplied": "messages firstRespondedAt status",
    "TicketNoteAdded.2": "messages",
    "TicketPended": "status",
    "TicketPutOnHold": "status",
    "TicketResumed": "status",
    "TicketEscalated": "escalationLevel escalated escalatedTo escalatedToTeam",
    "TicketSolved": "status solution solutionNote solvedAt",
    "TicketReopened": "status solution solutionNote solvedAt",
    "TicketClosed": "status closedAt",
    "TicketComplaintClassified": "severity regulatorDue",
    "TicketSatisfactionRequested": "satisfactionRequestedAt",
    "TicketSatisfactionGiven": "satisfaction satisfactionGivenAt",
    "TicketExternalIdAdded": "externalIds",
    "PipelineDefined": "name status currency createdAt stages",
    "PipelineRenamed": "name",
    "PipelineStageAdded": "stages",
    "PipelineStageChanged": "stages",
    "PipelineStagesReordered": "stages",
    "PipelineStageRetired": "stages",
    "PipelineArchived": "status",
    "PipelineRestored": "status",
    "CompanyDefined": "name timeZone currency language phoneRegion fiscalYearStart createdAt",
    "CompanySettingsChanged": "currency fiscalYearStart phoneRegion language name timeZone",
    "StaffMemberRegistered": "name status email createdAt externalIds team",
    "StaffMemberRenamed": "name",
    "StaffMemberEmailChanged": "email",
    "StaffMemberTeamChanged": "team",
    "StaffMemberExternalIdAdded": "externalIds",
    "StaffMemberRoleGranted": "roles",
    "StaffMemberRoleRevoked": "roles",
    "StaffMemberDeactivated": "status",
    "StaffMemberReactivated": "status",
    "TeamCreated": "name status lead createdAt externalIds parent",
    "TeamRenamed": "name",
    "TeamLeadAssigned": "lead",
    "TeamExternalIdAdded": "externalIds",
    "TeamArchived": "status",
    "TeamRestored": "status",
    "QueueCreated": "name status team createdAt",
    "QueueRenamed": "name",
    "QueueTeamAssigned": "team",
    "QueueArchived": "status",
    "QueueRestored": "status",
    "ProductAdded": "name status series code price createdAt externalIds",
    "ProductRenamed": "name",
    "ProductPriceChanged": "price",
    "ProductCodeChanged": "code",
    "ProductExternalIdAdded": "externalIds",
    "ProductDiscontinued": "status",
    "ProductResumed": "status",
    "RoleDefined": "grants name description status createdAt",
    "RoleRenamed": "name",
    "RoleDescribed": "description",
    "RoleGrantsChanged": "grants",
    "RoleRetired": "status",
    "RoleRestored": "status",
    "ApiTokenIssued": "grants name status issuedBy expiresAt createdAt",
    "ApiTokenRevoked": "status revokedAt",
}
"""A list by its name; beside it, fields of its elements that the event changes (`contactPoints primary`)."""


_DETAILS = {"changes", "personalChanges"}
"""The facts of an event that name details themselves."""
_BEFORE_AND_AFTER = re.compile("(old|new)([A-Z]|$)")


def fields_told() -> Mapping[str, Sequence[str]]:
    """By the stored name of an event: the fields that it sets, and other facts by which it is looked for (`tag`).

    Raises LookupError for an event that nobody has put here.
    """
    if unknown := {*catalogue.shapes} - {*_FIELDS_SET}:
        raise LookupError(f"{', '.join(sorted(unknown))}: say in api/types/fields_set.py which fields it sets")
    found: dict[str, Sequence[str]] = {}
    for decider in catalogue.deciders.values():
        of_kind = {field for name in decider.events for field in _FIELDS_SET[name].split()}
        for name, event in decider.events.items():
            # A message's `channel` is not its ticket's: a fact called like a field of the record is no fact here.
            facts = (fact for fact in facts_of(event) if not _BEFORE_AND_AFTER.match(fact))
            found[name] = (*_FIELDS_SET[name].split(), *(one for one in facts if one not in of_kind | _DETAILS))
    return found | {name: found[older.into] for name, older in catalogue.older.items()}
