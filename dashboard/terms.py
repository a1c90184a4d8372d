"""What the words on the pages mean: the text behind each question mark."""

from __future__ import annotations

QUALITY = (
    "Top-1 accuracy of the exported model on the test photos: the share whose most probable class "
    "is the right one. Runs that did not succeed have none."
)
COST = (
    "Compute and, on EC2, the volume, at the prices that were frozen into the run when it ended. "
    "The basis beside it says where the figure comes from."
)
BASIS = (
    "**billed**: seconds that AWS bills, at its list price. **estimated**: reckoned before the run. "
    "**simulated**: seconds on this machine at the named instance's price; nobody pays it. "
    "Figures of different basis are never added or compared."
)
BILLABLE = "Seconds that are paid for, on each host."
FRONT = (
    "A star marks a run that no other run of the same basis beats in both quality and cost. "
    "Together they are the Pareto front: the line in the chart."
)
SPENT = "Cost of all runs shown, whatever became of them. Each basis is added up for itself."
WHERE = "The launcher, the number of hosts if more than one, and the instance type."
LAUNCHER = "**sagemaker**: a SageMaker training job. **ec2**: a plain EC2 instance."
STATUS = (
    "**refused**: AWS or a check said no before anything ran. **stopped**: ended by a person or at "
    "the maximum run time. **failed**: the training itself went wrong."
)
CURVES = "Values by epoch, as the training program reported them while it ran."
RELEASE = "One model, one handler and the settings they are served with. The id derives from that content."
ENDPOINT = (
    "The SageMaker endpoint keeps the model loaded on one or more instances. Each instance is paid "
    "by the hour whether it is asked or not."
)
FUNCTION = (
    "The Lambda function in front of the endpoint: it takes the photo and passes it on. "
    "Its alias names the published version that answers.\n\n"
    "**Warm**: provisioned concurrency, environments that are kept started so that a call does not "
    "wait for a start; paid by the second whether asked or not. **At most**: reserved concurrency, "
    "the most calls it runs at once; more get a 429."
)
STANDING = (
    "What is paid for every hour even if nobody asks: the smallest number of endpoint instances "
    "and the provisioned function environments."
)
CALL_COST = (
    "What this one call adds: one Lambda request and its memory for the time it ran. "
    "The endpoint's instances are paid by the hour and are not in it."
)
LATENCY = "From sending the photo to having the answer, measured where this page is made."
ENDPOINT_TIME = (
    "How long the network itself worked on the photo, and how long the photo waited before, as the model "
    "server told it."
)
CALL_COST_STRAIGHT = (
    "What this one call adds: the bytes into the endpoint and out of it. Its instances are paid by "
    "the hour and are not in it."
)
WAY = (
    "**Through Lambda** is how an application asks: the function takes the photo, has a limit on how many it "
    "takes at once, and logs the cost. **Straight** is InvokeEndpoint without it: what is left is SageMaker "
    "and the model."
)
SPLIT = (
    "**Function and way to it**: Lambda, the handler and the network. **Way to the endpoint**: SageMaker "
    "and the network behind it. **Queue**: waiting for a free worker of the server. **Model**: decoding "
    "the photo and the network's arithmetic."
)
RIVAL = (
    "This release does not answer in AWS. Its archive was fetched, held against its digest and served on "
    "this machine for one question, so the time has no network in it and is this machine's."
)
OPEN_LOOP = (
    "Questions go out when they are due, whatever became of those before: as visitors come, who do not "
    "wait for each other. Latency counts from the moment a question was due."
)
REFUSED = (
    "Answers that say: come back later (429, 503). The function refuses what is above its reserved "
    "concurrency, the model server what it could not answer in time."
)
PROBABILITY = (
    "The model's own estimate, calibrated on the validation photos. "
    "The five most probable classes are shown."
)
REQUESTS = "Calls that reached the endpoint, as CloudWatch counts them."
ERRORS = (
    "Answers of the endpoint with 4xx or 5xx. **Throttled**: calls that the function refused with "
    "429 because as many as its reserved concurrency ran already."
)
MODEL_LATENCY = (
    "What the endpoint took for a call, its queue included: half of the calls were faster than p50, "
    "99 of 100 faster than p99."
)
CONCURRENCY = "The most calls that the function worked on at the same moment."
BUDGET = (
    "The limit that `pedigree budget set` keeps for a calendar month (UTC). A launch that would "
    "break it is refused."
)
FORECAST = (
    "If the coming days are like the last 28. The range is two standard errors each way, and there "
    "is none in the first week."
)
GATES = "What a model has to show before it may go live; each with what was found."
CONFIRM = "So that no click alone changes what is live."
PHOTO_MS = "How long an instance works on one photo: measure with `pedigree simulate --archive`."
TARGET = (
    "Invocations for each instance in a minute that autoscaling aims at: above it instances are "
    "added. 25 a minute is one every 2.4 seconds."
)
RESERVED = "The most calls the function runs at once; more are refused with 429."
PROVISIONED = (
    "Provisioned concurrency: environments that are kept started, so that a call does not wait for "
    "a start. Paid by the second whether asked or not."
)
SEEDS = "How often the same question is simulated, each time with other visitors."
PHOTOS = (
    "Held against each other photo by photo, where both runs logged what their model said. Whether a "
    "difference is more than chance is McNemar's exact test."
)
PHASES = (
    "Seconds on each host. **start-up**: what is billed outside the program: provisioning, pulling the "
    "image, uploading. **other**: what no phase of the program names."
)
CONFUSION = (
    "Rows: what the photo shows. Columns: what the model said. Those classes that are mixed up "
    "the most."
)
RELIABILITY = (
    "Each point holds the photos of about the same probability: on the dashed line as many are right as "
    "the probability says; below it the model is too sure. **ECE**, the expected calibration error, is "
    "the mean distance from the line. Larger points hold more photos."
)
WHAT_IF = (
    "The same work on every machine type that the price book has a price for. ★ marks what no other "
    "option beats in both expected time and expected cost: the line in the chart."
)
INTERVAL = (
    "Four of five runs like those on record end within this range. It rests on the runs on record of the "
    "same kind of money: simulated ones never predict AWS."
)
CEILING = "What the run costs if it goes on to its maximum run time, where it is ended."
BUDGET_LEFT = (
    "What this month's limit leaves (UTC). A launch whose range would break the limit is refused."
)
GRADE = (
    "How good the source is. **aws**: AWS's own price list. **machine-generated**: made from that list "
    "by others. **bill**: read off a bill. **given**, **curated**: written down by a person. "
    "**second-hand**: from a note. **quote**: a spot price at one moment."
)
PREDICT_FOR = (
    "**aws** learns from runs that AWS billed, **local** from runs on this machine, whose money is "
    "simulated. The two are never mixed."
)
SPOT = (
    "Spare capacity at a lower price, which AWS may take back: the run then goes on from its last "
    "checkpoint when there is capacity again."
)
