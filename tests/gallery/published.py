"""How the published program versions are written in the gallery: our names for metrics, columns, figures and tiers.

Source: shared/programs/published.json (13 versions). Names and units stand here; numbers are compared by the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Ours:
    """One published version in our names."""

    file: str
    tiers: Mapping[str, str]  # published name -> tier key
    metrics: Mapping[str, str] = field(default_factory=dict)  # published input -> metric
    figures: Mapping[str, str] = field(default_factory=dict)  # published derived value -> metric
    columns: Mapping[str, str] = field(default_factory=dict)  # published input -> column of the partner
    values: Mapping[str, str] = field(default_factory=dict)  # published text -> ours
    hundredths: frozenset[str] = frozenset()  # published inputs in percent: ours are fractions
    months_met: str = ""  # published input that is time: months between first and last day of a timeline


PUBLISHED: Mapping[str, Ours] = {
    "ms-azure-infrastructure": Ours(
        file="capability-designation.yaml",
        tiers={"(none)": "enrolled", "Solutions Partner": "designated"},
        metrics={
            "track": "track",
            "net_adds": "net_customers",
            "int_step1": "administrators",
            "int_step2": "infrastructure_engineers",
            "adv_step1": "architects",
            "adv_step2": "specialists",
            "acr_total": "usage",
            "acr_growth_pct": "usage_growth",
            "services": "services",
        },
        figures={
            "p_int": "capability.intermediate",
            "p_adv": "capability.advanced",
            "p_usage": "capability.growth",
            "total": "capability",
        },
        hundredths=frozenset({"acr_growth_pct"}),
    ),
    "aws-services-path": Ours(
        file="services-path.yaml",
        tiers={"Registered": "registered", "Select": "select", "Advanced": "advanced", "Premier": "premier"},
        metrics={
            "accredited_tech": "accredited_tech",
            "accredited_business": "accredited_business",
            "accredited_total": "accredited_total",
            "foundational": "foundational",
            "technical": "technical",
            "technical_pro": "technical_pro",
            "launched_opps": "launched",
            "opps_mrr": "launched_mrr",
            "public_refs": "public_references",
            "csat_responses": "survey_responses",
            "business_plan": "business_plan",
            "validations": "validations",
            "has_anchor_validation": "anchor_validation",
            "exec_review": "executive_review",
        },
        months_met="months_sustained",
    ),
    "hubspot-2018": Ours(
        file="recurring-revenue.yaml",
        tiers={name: name.lower() for name in ("Untiered", "Silver", "Gold", "Platinum", "Diamond")},
        metrics={
            "sold_mrr": "sold_mrr",
            "managed_mrr": "managed_mrr",
            "certified": "certified",
            "median_apps": "median_apps",
        },
        columns={"market": "market"},
    ),
    "salesforce-fy22": Ours(
        file="scorecard-bands.yaml",
        tiers={
            "Not registered": "unregistered",
            "Base": "base",
            "Ridge": "ridge",
            "Crest": "crest",
            "Summit": "summit",
        },
        metrics={"best_region_score": "best_region_score", "credentials": "credentials"},
    ),
    "odoo-v11": Ours(
        file="net-users-retention.yaml",
        tiers={"Learning Partner": "learning", "Ready": "ready", "Silver": "silver", "Gold": "gold"},
        metrics={
            "net_new_users": "net_new_users",
            "certified_employees": "certified_employees",
            "acquired_3y": "acquired",
            "active_of_acquired_3y": "acquired_and_active",
        },
    ),
    "atlassian-marketplace": Ours(
        file="marketplace-apps.yaml",
        tiers={"No level": "listed", "Silver": "silver", "Gold": "gold", "Platinum": "platinum"},
        metrics={
            "gross_sales": "gross_sales",
            "cloud_sales": "cloud_sales",
            "paid_via_atlassian_all": "all_paid_via_marketplace",
            "paid_cloud_apps": "paid_cloud_apps",
            "dc_approved_all": "data_center_approved",
            "sla_hours": "response_hours",
            "bounty_level": "bounty_level",
        },
    ),
    "google-partners": Ours(
        file="media-agencies.yaml",
        tiers={"Member": "member", "Partner": "partner", "Premier Partner": "premier"},
        metrics={
            "optimization_score": "optimization_score",
            "spend_90d": "spend_90_days",
            "strategists": "strategists",
            "certified_strategists": "certified_strategists",
            "areas_with_spend": "areas_with_spend",
            "areas_covered": "areas_covered",
            "country_percentile": "country_percentile",
        },
        hundredths=frozenset({"optimization_score", "country_percentile"}),
    ),
    "wix": Ours(
        file="site-points.yaml",
        tiers={name: name.lower() for name in ("Pioneer", "Creator", "Icon", "Legend")},
        metrics={
            "studio_first_owner": "studio_first_owner",
            "studio_collab": "studio_collaborator",
            "wix_sites": "classic_sites",
            "certs": "certificates",
        },
        figures={"points": "points"},
    ),
    "intuit-proadvisor": Ours(
        file="advisor-points.yaml",
        tiers={name: name.lower() for name in ("Silver", "Gold", "Platinum", "Elite")},
        metrics={
            "qbo_clients": "online_clients",
            "se_clients": "self_employed_clients",
            "payroll_clients": "payroll_clients",
            "qbo_cert_users": "certified_users",
            "qbo_adv_users": "advanced_users",
            "desktop_bundle": "bundles",
            "desktop_cert_users": "desktop_users",
        },
        figures={"points": "points"},
    ),
    "mitel-2018": Ours(
        file="revenue-points.yaml",
        tiers={"below Platinum": "member", "Platinum": "platinum"},
        metrics={"onsite_sales": "onsite_sales", "cloud_mrr": "cloud_mrr"},
        figures={"points": "points"},
    ),
    "sap-var-2010": Ours(
        file="value-points.yaml",
        tiers={name: name.lower() for name in ("Associate", "Silver", "Gold")},
        metrics={
            "revenue_points": "revenue_points",
            "competency_points": "competency_points",
            "marketing_points": "marketing_points",
        },
        figures={"vp": "value_points"},
        columns={"solution": "solution"},
        values={"aio_b1": "suite", "bo": "analytics"},
    ),
    "dell-emc-2017": Ours(
        file="two-paths.yaml",
        tiers={name: name.lower() for name in ("Authorized", "Gold", "Platinum", "Titanium")},
        metrics={"revenue": "revenue", "services": "services", "training_level": "training_level"},
    ),
    "hubspot-tech-timing": Ours(
        file="half-yearly-review.yaml",
        tiers={name: name.lower() for name in ("Partner", "Rising", "Leading", "Premier")},
    ),
}
"""Key of the published version -> how it is written here."""
