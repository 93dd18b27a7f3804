"""One file per noun; import nouns from here."""

from core.models.cluster import Cluster, ClusterSetup, Node
from core.models.person import Membership, Team, User
from core.models.slot import SlotClaim
from core.models.stop import EmergencyStop

__all__ = [
    "Cluster",
    "ClusterSetup",
    "EmergencyStop",
    "Membership",
    "Node",
    "SlotClaim",
    "Team",
    "User",
]
