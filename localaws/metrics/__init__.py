"""CloudWatch: data points, statistics over them, and alarms that are evaluated from them."""
