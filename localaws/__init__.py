"""AWS on this machine: a loopback server with AWS's contract; real processes do the work.

moto keeps the records it models well (IAM, STS, EC2 records, CloudWatch, Logs, SSM, CloudFormation,
bucket configuration). Objects, SageMaker, Lambda and Application Auto Scaling are our own.
`DIFFERENCES.md` lists every known difference from AWS and everything never checked there.
"""

__version__ = "0.1.0"
