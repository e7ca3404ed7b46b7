/* SPDX-License-Identifier: MIT */
/*
 * What a TPM's response codes and tpm2-tss's own mean to zseal. Internal to this folder and its test.
 *
 * Spec: TPM 2.0 Part 2, "TPM_RC (Response Codes)"; TCG TSS 2.0 Overview and Common Structures, "Return Codes".
 */
#pragma once

#include <tss2/tss2_common.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/error.h"

/* The error that a code stands for wherever it comes up; ERR_TPM_FAILED for those without a line in the table. */
enum err code_error(TSS2_RC rc);

/* True if the TPM itself (or a resource manager on its behalf) said which, about whatever handle or parameter. */
bool code_is(TSS2_RC rc, TPM2_RC which);

/* True if the TPM did not like a parameter of the command. */
bool code_is_parameter(TSS2_RC rc);

/* True if the TPM answered; false if the trouble was on the way or in tpm2-tss. */
bool code_is_answer(TSS2_RC rc);
