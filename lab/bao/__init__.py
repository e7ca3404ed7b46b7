# SPDX-License-Identifier: MIT
"""The lab's key servers: real OpenBao, and the doors through which they are reached."""
