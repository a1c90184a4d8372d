"""EC2 instances on this machine: moto keeps the records, processes run the user data."""

from localaws.ec2.service import Ec2

__all__ = ["Ec2"]
