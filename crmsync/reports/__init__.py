"""What commands print: text for people, JSON with --json. Takes results, returns text; opens nothing."""

from crmsync.reports.backtest import backtest_report
from crmsync.reports.copies import copy_report
from crmsync.reports.deploys import deploy_report, removal_report
from crmsync.reports.ledger import adopt_report, revert_report, unlock_report
from crmsync.reports.notices import notices_approved_report, notices_report, preview_report, told_report
from crmsync.reports.partners import assess_report, explain_report, explained_run_report
from crmsync.reports.past import approval_report, status_report
from crmsync.reports.proof import diff_report, history_report, verify_report
from crmsync.reports.runs import apply_report, plan_report, run_report
from crmsync.reports.setup import check_report, discovery_report, set_up_report
from crmsync.reports.studies import cases_report, guide_report, init_report, lint_report, templates_report
from crmsync.reports.worker import health_report, worker_report

__all__ = [
    "adopt_report",
    "apply_report",
    "approval_report",
    "assess_report",
    "backtest_report",
    "cases_report",
    "check_report",
    "copy_report",
    "deploy_report",
    "diff_report",
    "discovery_report",
    "explain_report",
    "explained_run_report",
    "guide_report",
    "health_report",
    "history_report",
    "init_report",
    "lint_report",
    "notices_approved_report",
    "notices_report",
    "plan_report",
    "preview_report",
    "removal_report",
    "revert_report",
    "run_report",
    "set_up_report",
    "status_report",
    "templates_report",
    "told_report",
    "unlock_report",
    "verify_report",
    "worker_report",
]
