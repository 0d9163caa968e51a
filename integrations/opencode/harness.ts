// harness for OpenCode: what is known is put beside each prompt, and every session is remembered.
// Copy this file to ~/.config/opencode/plugins/, or let `harness install opencode` do it.
// It never keeps a prompt from being sent: whatever goes wrong, nothing is added.

import { spawn } from "node:child_process"

const COMMAND = ["harness"]
const PATIENCE_MS = 1500

/** Runs `harness hook opencode` with this JSON; answers its JSON, or nothing. */
function hook(input: Record<string, unknown>): Promise<any> {
  return new Promise((resolve) => {
    let answer = ""
    const done = () => {
      try {
        resolve(answer ? JSON.parse(answer) : undefined)
      } catch {
        resolve(undefined)
      }
    }
    try {
      const child = spawn(COMMAND[0], [...COMMAND.slice(1), "hook", "opencode"], {
        stdio: ["pipe", "pipe", "ignore"],
        timeout: PATIENCE_MS,
      })
      child.on("error", () => resolve(undefined))
      child.on("close", done)
      child.stdout.on("data", (bytes) => (answer += bytes))
      child.stdin.on("error", () => {})
      child.stdin.end(JSON.stringify(input))
    } catch {
      resolve(undefined)
    }
  })
}

export const Harness = async ({ directory }: { directory: string }) => {
  const started = new Set<string>()
  return {
    "chat.message": async (input: any, output: any) => {
      const parts: any[] = output?.parts ?? []
      const said = parts.filter((part) => part?.type === "text" && !part.synthetic && part.text)
      if (said.length === 0) return
      const session = input?.sessionID ?? output?.message?.sessionID
      const about = { session_id: session, cwd: directory }
      const blocks: string[] = []
      if (session && !started.has(session)) {
        started.add(session)
        const profile = await hook({ hook_event_name: "SessionStart", ...about })
        blocks.push(profile?.hookSpecificOutput?.additionalContext)
      }
      const prompt = said.map((part) => part.text).join("\n")
      const found = await hook({ hook_event_name: "UserPromptSubmit", ...about, prompt })
      blocks.push(found?.hookSpecificOutput?.additionalContext)
      const text = blocks.filter(Boolean).join("\n")
      if (!text) return
      // Beside the person's words, in a part of its own: OpenCode keeps it out of what it shows as typed.
      const first = said[0]
      parts.push({
        id: `prt_harness${Date.now().toString(36)}`,
        sessionID: first.sessionID,
        messageID: first.messageID,
        type: "text",
        text,
        synthetic: true,
      })
    },
    event: async ({ event }: { event: any }) => {
      const moments: Record<string, string> = { "session.idle": "Stop", "session.compacted": "PreCompact" }
      const name = moments[event?.type]
      if (name) await hook({ hook_event_name: name, session_id: event.properties?.sessionID, cwd: directory })
    },
  }
}
