"""What computes: training jobs, plain instances and their volumes, notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from deployment.sweep.reader import DAYS, Reader, pairs, removal
from deployment.sweep.resource import Kind, Resource

_ENDED = ("terminated", "shutting-down")


class Computing(Reader):
    """Reads what computes."""

    def jobs(self) -> Iterator[Resource]:
        """Training jobs that run."""
        running = self.cloud.pages(
            "sagemaker", "list_training_jobs", "TrainingJobSummaries", StatusEquals="InProgress"
        )
        for found in running:
            name = found["TrainingJobName"]
            tags = self.sagemaker_tags(found["TrainingJobArn"])
            if tags is None:
                continue
            job = self.cloud.ask("sagemaker", "describe_training_job", TrainingJobName=name)
            how = job.get("ResourceConfig", {})
            yield Resource(
                kind=Kind.JOB,
                name=name,
                tags=tags,
                created_at=found["CreationTime"],
                usd_per_day=self.daily(
                    "sagemaker",
                    "training",
                    how.get("InstanceType", ""),
                    how.get("InstanceCount", 1),
                ),
                remove=(removal("sagemaker", "stop_training_job", TrainingJobName=name),),
            )

    def instances(self) -> Iterator[Resource]:
        """EC2 instances that are not ended; one that is stopped costs its volumes only."""
        for reservation in self.cloud.pages("ec2", "describe_instances", "Reservations"):
            for found in reservation.get("Instances", []):
                state = found["State"]["Name"]
                if state in _ENDED:
                    continue
                name = found["InstanceId"]
                count = 0 if state.startswith("stop") else 1
                yield Resource(
                    kind=Kind.INSTANCE,
                    name=name,
                    tags=pairs(found.get("Tags", [])),
                    created_at=found.get("LaunchTime"),
                    usd_per_day=self.daily("ec2", "instance", found["InstanceType"], count),
                    remove=(removal("ec2", "terminate_instances", InstanceIds=[name]),),
                )

    def volumes(self) -> Iterator[Resource]:
        """EBS volumes; one that an instance holds is judged with the instance."""
        for found in self.cloud.pages("ec2", "describe_volumes", "Volumes"):
            name, kind = found["VolumeId"], found.get("VolumeType", "gp2")
            share = Decimal(found["Size"]) / DAYS
            yield Resource(
                kind=Kind.VOLUME,
                name=name,
                tags=pairs(found.get("Tags", [])),
                created_at=found.get("CreateTime"),
                usd_per_day=self.price(share, "ebs", f"{kind}_storage"),
                remove=(removal("ec2", "delete_volume", VolumeId=name),),
                in_use=found.get("State") != "available",
            )

    def notebooks(self) -> Iterator[Resource]:
        """Notebook instances that run. They are stopped, which keeps what is in them."""
        found_ones = self.cloud.pages("sagemaker", "list_notebook_instances", "NotebookInstances")
        for found in found_ones:
            name = found["NotebookInstanceName"]
            tags = self.sagemaker_tags(found["NotebookInstanceArn"])
            if tags is None or found["NotebookInstanceStatus"] != "InService":
                continue
            yield Resource(
                kind=Kind.NOTEBOOK,
                name=name,
                tags=tags,
                created_at=found.get("CreationTime"),
                usd_per_day=self.daily("sagemaker", "notebook", found.get("InstanceType", ""), 1),
                remove=(removal("sagemaker", "stop_notebook_instance", NotebookInstanceName=name),),
            )
