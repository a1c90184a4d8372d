"""The names under which a run is tracked: one table, so that MLflow's compare page and charts read well.

Metrics come from the training program's events unless marked *settled*, which the launcher writes.

| name | kind | meaning |
|---|---|---|
| test/top1, test/top5, test/macro_f1, test/ece | metric | quality of the exported artifact, 0 to 1 |
| valid/top1, valid/loss, train/loss | metric | by epoch |
| time/scan_s, features_s, head_s, export_s, total_s | metric | phases of the training program |
| time/billable_s | metric, settled | seconds AWS bills for each host |
| cost/usd | metric, settled | total cost; `cost.basis` says whether billed or simulated |
| throughput/features_images_per_s, memory/peak_mb | metric | the feature pass; the process |
| launch/*, data/*, code/*, weights/*, train/* | param | where it ran, on what, with which settings |
| env/* | param, settled | what the leading host ran with |
| pedigree.* , cost.* | tag | identity, state and price of the run |
"""

from __future__ import annotations

RUN_ID = "pedigree.run"
STATUS = "pedigree.status"
REASON = "pedigree.reason"
PHASE = "pedigree.phase"
WARNINGS = "pedigree.warnings"
OWNER = "pedigree.owner"
TRIAL = "pedigree.trial"
TRIAL_BEST = "pedigree.trial_best"
EXPIRES = "pedigree.expires"
RESOURCE = "pedigree.resource"
MODEL_URI = "pedigree.model_uri"
CODE_DIGEST = "pedigree.code_digest"
DATASET_DIGEST = "pedigree.dataset_digest"
COST_USD = "cost.usd"
COST_BASIS = "cost.basis"
COST_PRICE = "cost.price"
COST_PRICE_DATE = "cost.price_date"
COST_METRIC = "cost/usd"
COST_SO_FAR_METRIC = "cost/so_far_usd"
BILLABLE_METRIC = "time/billable_s"
QUALITY_METRIC = "test/top1"
