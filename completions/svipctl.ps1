# PowerShell completion for svipctl
Register-ArgumentCompleter -Native -CommandName svipctl -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $text = $commandAst.ToString()
    $length = $cursorPosition - $commandAst.Extent.StartOffset
    $line = if ($length -gt $text.Length) { "$text " } else { $text.Substring(0, $length) }
    $env:_SVIPCTL_COMPLETE = 'powershell'
    $env:_SVIPCTL_LINE = $line
    try { $answer = @(& $commandAst.CommandElements[0].Value 2>$null) }
    finally { Remove-Item Env:_SVIPCTL_COMPLETE, Env:_SVIPCTL_LINE }
    if ($answer[0] -eq 'files') { return }
    $answer | Select-Object -Skip 1 | ForEach-Object {
        $value, $meaning = $_ -split "`t", 2
        if (-not $meaning) { $meaning = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $meaning)
    }
}
