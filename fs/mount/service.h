/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the service manager that started this program is told. */
#pragma once

/*
 * Sends the state, for instance "READY=1", to the socket that $NOTIFY_SOCKET names, by the protocol of
 * sd_notify(3). Does nothing where there is no such socket, and reports no error: the manager then
 * ends its own wait.
 */
void service_tell(const char *state);
