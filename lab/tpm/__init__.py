# SPDX-License-Identifier: MIT
"""The lab's TPM: a real software TPM (swtpm) behind what a firmware and a kernel add to a chip."""
